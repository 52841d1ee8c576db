"""Reads: list, inspect, top and stats, all from memory and the kernel."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import subprocess
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.containers import links, options
from engine.containers.model import Container, State, Verb
from engine.containers.networking import settings_of
from engine.core import clock
from engine.core.errors import InvalidArgument, NotFound, Unsupported
from engine.core.labels import has_label
from engine.kernel import apparmor

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.runtime.stats import CgroupStats

_FILTERS = frozenset(
    "id name label status exited ancestor before since network volume health publish expose "
    "is-task isolation".split()
)
_TICKS = os.sysconf("SC_CLK_TCK")


def status_text(container: Container) -> str:
    """Return the words of `docker ps`, such as "Up 3 minutes" or "Exited (0) 2 hours ago"."""
    state = container.document["State"]
    match container.state:
        case State.RUNNING:
            return f"Up {clock.ago(clock.parse(state['StartedAt']))}{_health_text(state)}"
        case State.PAUSED:
            return f"Up {clock.ago(clock.parse(state['StartedAt']))} (Paused)"
        case State.RESTARTING:
            ago = clock.ago(container.finished_at())
            return f"Restarting ({state['ExitCode']}) {ago} ago"
        case State.EXITED:
            return f"Exited ({state['ExitCode']}) {clock.ago(container.finished_at())} ago"
        case State.REMOVING:
            return "Removal In Progress"
        case State.DEAD:
            return "Dead"
        case _:
            return "Created"


def _health_text(state: dict[str, Any]) -> str:
    status = (state.get("Health") or {}).get("Status")
    if status is None:
        return ""
    return " (health: starting)" if status == "starting" else f" ({status})"


def list_containers(
    deps: Containers, *, everything: bool, limit: int, filters: dict[str, list[str]]
) -> list[dict[str, Any]]:
    """Return the rows of `docker ps`, newest first. Raises: InvalidArgument(unknown filter)."""
    unknown = set(filters) - _FILTERS
    if unknown:
        raise InvalidArgument(f"invalid filter '{min(unknown)}'")
    _check_values(filters)
    found = sorted(
        deps.by_id.values(), key=lambda item: str(item.document["Created"]), reverse=True
    )
    if filters:
        found = [item for item in found if _matches(deps, item, filters)]
    shows_all = everything or limit > 0 or "status" in filters
    if not shows_all:
        found = [item for item in found if item.is_running or item.state is State.RESTARTING]
    aliases, names = links.aliases(deps), _Names(deps)
    return [_row(deps, item, aliases, names) for item in (found[:limit] if limit > 0 else found)]


def prunable(deps: Containers, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return the rows of the containers that do not run and pass "until" and "label" filters."""
    unknown = set(filters) - {"until", "label", "label!"}
    if unknown:
        raise InvalidArgument(f"invalid filter '{min(unknown)}'")
    until = filters.get("until") or []
    if len(until) > 1:
        raise InvalidArgument("more than one until filter specified")
    try:
        newest = clock.parse_since(until[0]) if until else None
    except ValueError as error:
        raise InvalidArgument(f"invalid filter 'until={until[0]}'") from error
    found = []
    for container in deps.by_id.values():
        labels = container.config.get("Labels") or {}
        created = clock.parse(container.document["Created"]).timestamp()
        if (
            container.state in (State.CREATED, State.EXITED, State.DEAD)
            and (newest is None or created < newest)
            and all(has_label(labels, value) for value in filters.get("label", ()))
            and not any(has_label(labels, value) for value in filters.get("label!", ()))
        ):
            found.append(container)
    return [_row(deps, item, {}, _Names(deps)) for item in found]


def add_sizes(deps: Containers, rows: list[dict[str, Any]]) -> None:
    """Add to rows how much each container wrote and how large its whole root is."""
    for row in rows:
        row |= _sizes(deps, row["Id"], row["ImageID"])


def _sizes(deps: Containers, container_id: str, image_id: str) -> dict[str, int]:
    written = deps.snapshots.usage(container_id)
    return {"SizeRw": written, "SizeRootFs": written + deps.images.size_of(image_id)}


class _Names:
    """What the images' names mean at the moment of one list."""

    def __init__(self, deps: Containers) -> None:
        self._deps = deps
        self._ids: dict[str, str] = {}

    def shown(self, container: Container) -> str:
        """Return the image as the client named it, or its ID once the name means another."""
        name, image_id = str(container.config["Image"]), str(container.document["Image"])
        if name not in self._ids:
            try:
                self._ids[name] = self._deps.images.get(name).id
            except (NotFound, InvalidArgument):
                self._ids[name] = ""
        return name if self._ids[name] == image_id else image_id


def _row(
    deps: Containers, container: Container, aliases: dict[str, list[str]], names: _Names
) -> dict[str, Any]:
    document = container.document
    settings = settings_of(deps, container)
    config, host = container.config, container.host_config
    created = clock.parse(document["Created"])
    return {
        "Id": container.id,
        "Names": [f"/{container.name}", *aliases.get(container.name, ())],
        "Image": names.shown(container),
        "ImageID": document["Image"],
        "Command": " ".join(
            [document["Path"], *(f"'{word}'" if " " in word else word for word in document["Args"])]
        ),
        "Created": int(created.timestamp()),
        "Ports": _ports(settings),
        "Labels": config.get("Labels") or {},
        "State": container.state.value,
        "Status": status_text(container),
        "HostConfig": {
            "NetworkMode": host["NetworkMode"],
            **({"Annotations": host["Annotations"]} if host.get("Annotations") else {}),
        },
        "NetworkSettings": {"Networks": settings.get("Networks") or {}},
        "Mounts": document["Mounts"],
    }


def _ports(settings: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for key, bindings in (settings.get("Ports") or {}).items():
        number, _, protocol = key.partition("/")
        base = {"PrivatePort": int(number), "Type": protocol}
        if not bindings:
            rows.append(base)
        rows.extend(
            {"IP": item["HostIp"], **base, "PublicPort": int(item["HostPort"])}
            for item in bindings or ()
        )
    return rows


def _matches(deps: Containers, container: Container, filters: dict[str, list[str]]) -> bool:
    state = container.document["State"]
    labels = container.config.get("Labels") or {}
    for key, values in filters.items():
        match key:
            case "id":
                hit = any(container.id.startswith(value) for value in values)
            case "name":
                hit = any(_is_named(container.name, value) for value in values)
            case "label":
                hit = all(has_label(labels, value) for value in values)
            case "status":
                hit = container.state.value in values
            case "exited":
                ended = container.state is State.EXITED
                hit = ended and str(state["ExitCode"]) in values
            case "ancestor":
                hit = any(_descends(deps, container, value) for value in values)
            case "before" | "since":
                other = deps.find(values[0]).document["Created"]
                mine = container.document["Created"]
                hit = mine < other if key == "before" else mine > other
            case "network":
                networks = settings_of(deps, container)["Networks"]
                ids = [item.get("NetworkID") or "" for item in networks.values()]
                mode = container.host_config["NetworkMode"]
                hit = any(
                    value == mode or value in networks or any(i.startswith(value) for i in ids)
                    for value in values
                )
            case "volume":
                hit = any(
                    value in (mount.get("Name") or mount["Source"], mount["Destination"])
                    for mount in container.document["Mounts"]
                    for value in values
                )
            case "publish" | "expose":
                hit = bool(_ports_meant(values) & _ports_of(container, key))
            case "health":
                hit = (state.get("Health") or {}).get("Status", "none") in values
            case "isolation":
                hit = "default" in values
            case _:
                hit = values == ["false"]
        if not hit:
            return False
    return True


def _check_values(filters: dict[str, list[str]]) -> None:
    for value in filters.get("status", ()):
        if value not in set(State):
            raise InvalidArgument(f"invalid filter 'status={value}'")
    for value in filters.get("exited", ()):
        if not re.fullmatch(r"-?\d+", value):
            raise InvalidArgument(f"invalid filter 'exited={value}': invalid syntax")


def _is_named(name: str, value: str) -> bool:
    """Tell whether a name, with or without its slash, is or contains what a filter says."""
    if value in (name, f"/{name}"):
        return True
    try:
        return bool(re.search(value.removeprefix("/"), name) or re.search(value, f"/{name}"))
    except re.error:
        return False  # a glob, most often: it names nothing


def _ports_meant(values: list[str]) -> set[str]:
    """Return every port that "80", "80/udp" or "8000-8010/tcp" mean."""
    result = set()
    for value in values:
        numbers, _, protocol = value.partition("/")
        first, _, last = numbers.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise InvalidArgument(f"invalid filter: invalid port {value!r}")
        span = range(int(first), int(last or first) + 1)
        result |= {f"{number}/{protocol or 'tcp'}" for number in span}
    return result


def _ports_of(container: Container, kind: str) -> set[str]:
    ports = container.document["NetworkSettings"].get("Ports") or {}
    if kind == "expose":
        return {*ports, *(container.config.get("ExposedPorts") or ())}
    return {
        f"{item['HostPort']}/{name.partition('/')[2]}"
        for name, bindings in ports.items()
        for item in bindings or ()
    }


def _descends(deps: Containers, container: Container, reference: str) -> bool:
    try:
        return bool(deps.images.get(reference).id == container.document["Image"])
    except LookupError:
        return False
    except Exception as error:
        if "No such image" in str(error):
            return fnmatch.fnmatch(container.config["Image"], reference)
        raise


# What clients find in Config and HostConfig though nobody set it.
_CONFIG: dict[str, Any] = {
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": [],
    "Cmd": None,
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": {},
}
_HOST_CONFIG: dict[str, Any] = {
    **dict.fromkeys(
        "Binds CapAdd CapDrop GroupAdd Links SecurityOpt VolumesFrom BlkioDeviceReadBps "
        "BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps BlkioWeightDevice "
        "DeviceCgroupRules DeviceRequests Ulimits ExtraHosts MemorySwappiness OomKillDisable "
        "PidsLimit".split()
    ),
    **dict.fromkeys(
        "CpuShares Memory NanoCpus BlkioWeight CpuPeriod CpuQuota CpuRealtimePeriod "
        "CpuRealtimeRuntime MemoryReservation MemorySwap CpuCount CpuPercent IOMaximumIOps "
        "IOMaximumBandwidth OomScoreAdj".split(),
        0,
    ),
    **dict.fromkeys(
        "ContainerIDFile VolumeDriver Cgroup PidMode UTSMode UsernsMode Isolation CgroupParent "
        "CpusetCpus CpusetMems".split(),
        "",
    ),
    **dict.fromkeys("AutoRemove Privileged PublishAllPorts ReadonlyRootfs".split(), False),
    "ConsoleSize": [0, 0],
    "PortBindings": {},
    "Devices": [],
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
}
# Fields of NetworkSettings that have lost their meaning and are still read.
_NETWORK_SETTINGS: dict[str, Any] = {
    "HairpinMode": False,
    "LinkLocalIPv6Address": "",
    "LinkLocalIPv6PrefixLen": 0,
    "SecondaryIPAddresses": None,
    "SecondaryIPv6Addresses": None,
}


def inspect_container(deps: Containers, container: Container, *, size: bool) -> dict[str, Any]:
    """Return Docker's full description."""
    document = container.document
    directory = deps.settings.state / "containers" / container.id
    settings = settings_of(deps, container)
    result = {
        "Id": container.id,
        "Created": document["Created"],
        "Path": document["Path"],
        "Args": document["Args"],
        "State": document["State"],
        "Image": document["Image"],
        "ResolvConfPath": str(directory / "resolv.conf"),
        "HostnamePath": str(directory / "hostname"),
        "HostsPath": str(directory / "hosts"),
        "LogPath": document["LogPath"],
        "Name": f"/{container.name}",
        "RestartCount": document["RestartCount"],
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": options.security(container.host_config).apparmor
        or ("unconfined" if apparmor.is_enabled() else ""),
        "ExecIDs": [key for key, item in container.execs.items() if item.exit_code is None] or None,
        "HostConfig": {**_HOST_CONFIG, **container.host_config},
        "GraphDriver": {"Name": "overlay2", "Data": deps.snapshots.describe(container.id)},
        "Mounts": document["Mounts"],
        "Config": {**_CONFIG, **container.config},
        "NetworkSettings": {**_NETWORK_SETTINGS, **settings},
    }
    return {**result, **_sizes(deps, container.id, document["Image"])} if size else result


def top(container: Container, arguments: str) -> dict[str, Any]:
    """Return the process table of a running container, as `ps` with these arguments shows it.

    Raises: Conflict(not running) · InvalidArgument(ps refuses, no PID column).
    """
    container.require(Verb.KILL)
    pids = set(container.running.pids()) if container.running else set()
    if arguments == "-ef":  # what nearly everybody asks needs no process
        titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        rows = [row for pid in sorted(pids) if (row := _process_row(pid))]
        return {"Titles": titles, "Processes": rows}
    try:
        done = subprocess.run(
            ["ps", *shlex.split(arguments)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise Unsupported("ps is not installed on the host: install the package procps") from None
    except ValueError as error:
        raise InvalidArgument(f"invalid ps arguments: {error}") from error
    if done.returncode != 0:
        raise InvalidArgument(f"ps: {done.stderr.strip().splitlines()[0]}")
    head, *lines = done.stdout.splitlines()
    titles = head.split()
    if "PID" not in titles:
        raise InvalidArgument("Couldn't find PID field in ps output")
    place = titles.index("PID")
    split = (line.split(None, len(titles) - 1) for line in lines)
    found = [row for row in split if len(row) > place and int(row[place]) in pids]
    return {"Titles": titles, "Processes": found}


def _process_row(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        uid = os.stat(f"/proc/{pid}").st_uid
    except FileNotFoundError:  # it ended while we looked
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    ticks = int(fields[11]) + int(fields[12])
    seconds = ticks // _TICKS
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    started = datetime.fromtimestamp(boot + int(fields[19]) / _TICKS, UTC)
    terminal = int(fields[4])
    age = max(time.time() - started.timestamp(), 1)
    return [
        "root" if uid == 0 else str(uid),
        str(pid),
        fields[1],
        str(int(ticks / _TICKS / age * 100)),
        started.strftime("%H:%M"),
        f"pts/{terminal & 0xFF}" if terminal else "?",
        f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
        command or f"[{name}]",
    ]


def stats_row(
    container: Container, current: CgroupStats | None, earlier: dict[str, Any] | None
) -> dict[str, Any]:
    """Return one reading in Docker's shape; `earlier` is the row before it."""
    nothing = {"cpu_usage": {"total_usage": 0}, "throttling_data": {}}
    row: dict[str, Any] = {
        "name": f"/{container.name}",
        "id": container.id,
        "os_type": "linux",
        "read": clock.stamp() if current else clock.ZERO,
        "preread": earlier["read"] if earlier else clock.ZERO,
        "pids_stats": {},
        "blkio_stats": {"io_service_bytes_recursive": [], "io_serviced_recursive": []},
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": nothing,
        "precpu_stats": earlier["cpu_stats"] if earlier else nothing,
        "memory_stats": {},
    }
    if current is None:
        return row
    row["pids_stats"] = {"current": current.pids, "limit": current.pids_limit}
    for name, figures in current.block_io.items():
        row["blkio_stats"][name] = [
            {"major": major, "minor": minor, "op": op, "value": value}
            for major, minor, op, value in figures
        ]
    row["cpu_stats"] = {
        "cpu_usage": {
            "total_usage": current.cpu_total_ns,
            "usage_in_usermode": current.cpu_user_ns,
            "usage_in_kernelmode": current.cpu_system_ns,
            **({"percpu_usage": current.cpu_each_ns} if current.cpu_each_ns else {}),
        },
        "system_cpu_usage": _system_cpu_ns(),
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": {
            "periods": current.periods,
            "throttled_periods": current.throttled_periods,
            "throttled_time": current.throttled_ns,
        },
    }
    row["memory_stats"] = {
        "usage": current.memory,
        "max_usage": current.memory_max,
        "stats": current.memory_stat,
        "limit": current.memory_limit or _total_memory(),
        "failcnt": current.memory_failures,
    }
    row["networks"] = current.networks
    return row


def _system_cpu_ns() -> int:
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:8]]
    return sum(ticks) * (1_000_000_000 // _TICKS)


def _total_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

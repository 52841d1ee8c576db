"""Reads: list, inspect, top and stats, all from memory and the kernel."""

from __future__ import annotations

import fnmatch
import os
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.containers.model import Container, State, Verb
from engine.core import clock
from engine.core.errors import InvalidArgument

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.runtime.stats import CgroupStats

_FILTERS = frozenset(
    "id name label status exited ancestor before since network volume health publish expose "
    "is-task".split()
)
_TICKS = os.sysconf("SC_CLK_TCK")


def status_text(container: Container) -> str:
    """Return the words of `docker ps`, such as "Up 3 minutes" or "Exited (0) 2 hours ago"."""
    state = container.document["State"]
    match container.state:
        case State.RUNNING:
            return f"Up {clock.ago(clock.parse(state['StartedAt']))}"
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


def list_containers(
    deps: Containers, *, everything: bool, limit: int, filters: dict[str, list[str]], size: bool
) -> list[dict[str, Any]]:
    """Return the rows of `docker ps`, newest first. Raises: InvalidArgument(unknown filter)."""
    unknown = set(filters) - _FILTERS
    if unknown:
        raise InvalidArgument(f"invalid filter '{min(unknown)}'")
    found = sorted(
        deps.by_id.values(), key=lambda item: str(item.document["Created"]), reverse=True
    )
    if filters:
        found = [item for item in found if _matches(deps, item, filters)]
    shows_all = everything or limit > 0 or filters.keys() & {"status", "exited"}
    if not shows_all:
        found = [item for item in found if item.is_running or item.state is State.RESTARTING]
    return [_row(deps, item, size=size) for item in (found[:limit] if limit > 0 else found)]


def _row(deps: Containers, container: Container, *, size: bool) -> dict[str, Any]:
    document = container.document
    config, host = container.config, container.host_config
    created = clock.parse(document["Created"])
    row = {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": config["Image"],
        "ImageID": document["Image"],
        "Command": " ".join([document["Path"], *document["Args"]]),
        "Created": int(created.timestamp()),
        "Ports": _ports(document["NetworkSettings"]) if container.is_running else [],
        "Labels": config.get("Labels") or {},
        "State": container.state.value,
        "Status": status_text(container),
        "HostConfig": {"NetworkMode": host["NetworkMode"]},
        "NetworkSettings": {"Networks": document["NetworkSettings"].get("Networks") or {}},
        "Mounts": document["Mounts"],
    }
    if size:
        row["SizeRw"] = deps.snapshots.usage(container.id)
        row["SizeRootFs"] = row["SizeRw"] + deps.images.size_of(document["Image"])
    return row


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
                name = container.name
                hit = any(
                    re.search(value.removeprefix("/"), name) or re.search(value, f"/{name}")
                    for value in values
                )
            case "label":
                hit = all(_has_label(labels, value) for value in values)
            case "status":
                for value in values:
                    if value not in set(State):
                        raise InvalidArgument(f"invalid filter 'status={value}'")
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
                mode = container.host_config["NetworkMode"]
                ids = [
                    network.get("NetworkID") or ""
                    for network in container.document["NetworkSettings"]["Networks"].values()
                ]
                hit = any(
                    value == mode or any(item.startswith(value) for item in ids) for value in values
                )
            case "volume":
                hit = any(
                    value in (mount.get("Name"), mount["Destination"])
                    for mount in container.document["Mounts"]
                    for value in values
                )
            case "publish" | "expose":
                ports = container.document["NetworkSettings"].get("Ports") or {}
                exposed = [*ports, *(container.config.get("ExposedPorts") or {})]
                wanted = {value if "/" in value else f"{value}/tcp" for value in values}
                public = {
                    f"{item['HostPort']}/{name.partition('/')[2]}"
                    for name, bindings in ports.items()
                    for item in bindings or ()
                }
                hit = bool(wanted & (public | set(exposed if key == "expose" else ())))
            case "health":
                hit = "none" in values
            case _:
                hit = values == ["false"]
        if not hit:
            return False
    return True


def _has_label(labels: dict[str, str], wanted: str) -> bool:
    key, separator, value = wanted.partition("=")
    return key in labels and (not separator or labels[key] == value)


def _descends(deps: Containers, container: Container, reference: str) -> bool:
    try:
        return bool(deps.images.get(reference).id == container.document["Image"])
    except LookupError:
        return False
    except Exception as error:
        if "No such image" in str(error):
            return fnmatch.fnmatch(container.config["Image"], reference)
        raise


def inspect_container(deps: Containers, container: Container, *, size: bool) -> dict[str, Any]:
    """Return Docker's full description."""
    document = container.document
    directory = deps.settings.state / "containers" / container.id
    settings = document["NetworkSettings"] if container.is_running else _unplugged(document)
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
        "AppArmorProfile": "",
        "ExecIDs": [key for key, item in container.execs.items() if item.exit_code is None] or None,
        "HostConfig": container.host_config,
        "GraphDriver": {"Name": "overlay2", "Data": deps.snapshots.describe(container.id)},
        "Mounts": document["Mounts"],
        "Config": container.config,
        "NetworkSettings": settings,
    }
    if size:
        result["SizeRw"] = deps.snapshots.usage(container.id)
        result["SizeRootFs"] = result["SizeRw"] + deps.images.size_of(document["Image"])
    return result


def _unplugged(document: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a container that holds no address now."""
    settings = dict(document["NetworkSettings"])
    blank = {"IPAddress": "", "Gateway": "", "MacAddress": "", "EndpointID": "", "IPPrefixLen": 0}
    settings |= {**blank, "Ports": {}}
    settings["Networks"] = {
        name: {**network, **blank} for name, network in (settings.get("Networks") or {}).items()
    }
    return settings


def top(container: Container, arguments: str) -> dict[str, Any]:
    """Return the process table of a running container, read from /proc.

    Raises: Conflict(not running) · InvalidArgument(columns that need ps itself).
    """
    container.require(Verb.KILL)
    if arguments not in ("", "-ef", "ef", "aux", "-aux"):
        raise InvalidArgument(f"ps arguments {arguments!r} are not supported: use -ef or aux")
    titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    pids = container.running.pids() if container.running else []
    rows = [row for pid in sorted(pids) if (row := _process_row(pid))]
    return {"Titles": titles, "Processes": rows}


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
        "read": clock.stamp() if current else clock.ZERO,
        "preread": earlier["read"] if earlier else clock.ZERO,
        "pids_stats": {},
        "blkio_stats": {"io_service_bytes_recursive": []},
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": nothing,
        "precpu_stats": earlier["cpu_stats"] if earlier else nothing,
        "memory_stats": {},
    }
    if current is None:
        return row
    row["pids_stats"] = {"current": current.pids, "limit": current.pids_limit}
    row["blkio_stats"]["io_service_bytes_recursive"] = [
        {"major": major, "minor": minor, "op": op, "value": value}
        for major, minor, op, value in current.block_io
    ]
    row["cpu_stats"] = {
        "cpu_usage": {
            "total_usage": current.cpu_total_ns,
            "usage_in_usermode": current.cpu_user_ns,
            "usage_in_kernelmode": current.cpu_system_ns,
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
    }
    row["networks"] = current.networks
    return row


def _system_cpu_ns() -> int:
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:8]]
    return sum(ticks) * (1_000_000_000 // _TICKS)


def _total_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

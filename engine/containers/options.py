"""What a client wrote into Config and HostConfig, judged and turned into the runtime's words.

Nothing is silently ignored: a field that cannot work here is refused by name.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from typing import Any

from engine.core.errors import InvalidArgument, Unsupported
from engine.kernel.mount import Mount
from engine.kernel.process import CAPABILITIES
from engine.networks.model import PortBinding
from engine.supervisor.spec import ResourceSpec

DEFAULT_CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW "
        "SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"
    ).split()
)
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
DEFAULT_PIDS = 4096  # a fork bomb must not take the machine with it
MINIMUM_MEMORY = 6 * 1024 * 1024
DEFAULT_SHM = 64 * 1024 * 1024

# Fields of HostConfig that need what this engine does not have; refused unless empty.
_REFUSED = (
    "Links",
    "VolumesFrom",
    "DeviceRequests",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "StorageOpt",
    "OomKillDisable",
    "CgroupParent",
    "VolumeDriver",
    "KernelMemoryTCP",
)
_SYSCTLS = re.compile(
    r"net\..+|fs\.mqueue\..+|kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|"
    r"shm_rmid_forced|domainname)"
)
_SIGNALS = {item.name: int(item) for item in signal.Signals}


def signal_number(text: str | int | None, default: str = "SIGTERM") -> int:
    """Return a signal's number for "9", "KILL" or "SIGKILL". Raises: InvalidArgument."""
    word = str(text or default).upper()
    if word.isdigit():
        number = int(word)
    else:
        name = word if word.startswith("SIG") else f"SIG{word}"
        number = _SIGNALS.get(name, 0)
    if not 0 < number <= 64:
        raise InvalidArgument(f"invalid signal: {text}")
    return number


def validate(config: dict[str, Any], host: dict[str, Any]) -> list[str]:
    """Judge a whole request; return warnings. Raises: InvalidArgument, Unsupported."""
    for name in _REFUSED:
        if host.get(name):
            raise Unsupported(f"HostConfig.{name} is not supported by this engine")
    for name in ("PidMode", "IpcMode", "UTSMode", "CgroupnsMode", "UsernsMode"):
        allowed = {"", "host", "private"} | ({"shareable", "none"} if name == "IpcMode" else set())
        if name == "UsernsMode":
            allowed = {"", "host"}
        if (host.get(name) or "") not in allowed:
            raise Unsupported(f"HostConfig.{name} {host[name]!r} is not supported by this engine")
    if host.get("Runtime") not in (None, "", "hythe", "runc"):
        raise InvalidArgument(f"unknown or invalid runtime name: {host['Runtime']}")
    if host.get("Isolation") not in (None, "", "default"):
        raise InvalidArgument(f"invalid isolation {host['Isolation']!r} on linux")
    if config.get("StopSignal"):
        signal_number(config["StopSignal"])
    working = config.get("WorkingDir") or ""
    if working and not working.startswith("/"):
        raise InvalidArgument(
            f"the working directory {working!r} is invalid, it needs to be an absolute path"
        )
    for item in config.get("Env") or ():
        if not item or item.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {item}")
    resources(host)
    capabilities(host)
    security(host)
    mounts_wanted(config, host)
    restart_policy(host)
    log_options(host)
    sysctls(host)
    devices(host)
    port_bindings(config, host)
    return _warnings(host)


def _warnings(host: dict[str, Any]) -> list[str]:
    if host.get("NetworkMode") == "host" and host.get("PortBindings"):
        return ["Published ports are discarded when using host network mode"]
    return []


def resources(host: dict[str, Any]) -> ResourceSpec:
    """Return the limits. Raises: InvalidArgument, in Docker's words."""
    memory = int(host.get("Memory") or 0)
    swap = int(host.get("MemorySwap") or 0)
    reservation = int(host.get("MemoryReservation") or 0)
    if memory and memory < MINIMUM_MEMORY:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if swap > 0 and not memory:
        raise InvalidArgument(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    if 0 < swap < memory:
        raise InvalidArgument(
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        )
    if memory and reservation > memory:
        raise InvalidArgument(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    nano = int(host.get("NanoCpus") or 0)
    quota, period = int(host.get("CpuQuota") or 0), int(host.get("CpuPeriod") or 0)
    if nano:
        if quota or period:
            raise InvalidArgument(
                "Conflicting options: Nano CPUs and CPU Period/Quota cannot both be set."
            )
        available = os.cpu_count() or 1
        if nano < 0 or nano > available * 1_000_000_000:
            raise InvalidArgument(
                f"range of CPUs is from 0.01 to {available}.00, as there are only "
                f"{available} CPUs available"
            )
        period, quota = 100_000, nano * 100_000 // 1_000_000_000
    pids = host.get("PidsLimit")
    return ResourceSpec(
        memory=memory or None,
        memory_swap=(swap or memory * 2) if memory else None,
        memory_reservation=reservation or None,
        cpu_shares=int(host.get("CpuShares") or 0) or None,
        cpu_quota=quota or None,
        cpu_period=period or None,
        cpuset_cpus=host.get("CpusetCpus") or None,
        cpuset_mems=host.get("CpusetMems") or None,
        pids=DEFAULT_PIDS if not pids else int(pids),
        devices=(
            *(f"{_kind(d)} {access}" for d, _, access in devices(host)),
            *(host.get("DeviceCgroupRules") or ()),
        ),
    )


def _kind(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError as error:
        raise InvalidArgument(
            f"error gathering device information while adding custom device "
            f'"{path}": no such file or directory'
        ) from error
    letter = "b" if stat.S_ISBLK(found.st_mode) else "c"
    return f"{letter} {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def devices(host: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Return (host path, container path, access) of each device asked for."""
    return tuple(
        (
            item["PathOnHost"],
            item.get("PathInContainer") or item["PathOnHost"],
            item.get("CgroupPermissions") or "rwm",
        )
        for item in host.get("Devices") or ()
    )


def capabilities(host: dict[str, Any]) -> tuple[str, ...]:
    """Return the capabilities to keep. Raises: InvalidArgument(unknown name)."""
    if host.get("Privileged"):
        return CAPABILITIES
    add = [_capability(name) for name in host.get("CapAdd") or ()]
    drop = [_capability(name) for name in host.get("CapDrop") or ()]
    kept = set(CAPABILITIES if "ALL" in add else DEFAULT_CAPABILITIES)
    if "ALL" in drop:
        kept = set()
    kept = (kept - set(drop)) | (set(add) - {"ALL"})
    return tuple(name for name in CAPABILITIES if name in kept)


def _capability(text: str) -> str:
    word = text.upper()
    if word == "ALL":
        return word
    name = word if word.startswith("CAP_") else f"CAP_{word}"
    if name not in CAPABILITIES:
        raise InvalidArgument(f'invalid capability: "{text}"')
    return name


def security(host: dict[str, Any]) -> tuple[bool, str | None]:
    """Return (no_new_privileges, seccomp profile or None for unconfined)."""
    no_new, profile = False, None if host.get("Privileged") else "default"
    for option in host.get("SecurityOpt") or ():
        key, _, value = option.replace(":", "=", 1).partition("=")
        if key == "no-new-privileges":
            no_new = value in ("", "true")
        elif key == "seccomp":
            if value not in ("unconfined", "builtin"):
                try:
                    json.loads(value)
                except ValueError as error:
                    message = f"Decoding seccomp profile failed: {error}"
                    raise InvalidArgument(message) from error
            profile = {"unconfined": None, "builtin": "default"}.get(value, value)
        elif key in ("label", "apparmor") and value in ("disable", "unconfined"):
            continue  # neither is on here, so there is nothing to switch off
        else:
            raise InvalidArgument(f"invalid --security-opt: {option!r}")
    return no_new, profile


def restart_policy(host: dict[str, Any]) -> tuple[str, int]:
    """Return (name, maximum retry count). Raises: InvalidArgument."""
    policy = host.get("RestartPolicy") or {}
    name, count = policy.get("Name") or "no", int(policy.get("MaximumRetryCount") or 0)
    if name not in ("no", "always", "on-failure", "unless-stopped"):
        raise InvalidArgument(f"invalid restart policy: unknown policy '{name}'")
    if count and name != "on-failure":
        raise InvalidArgument(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    if name != "no" and host.get("AutoRemove"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    return name, count


def log_options(host: dict[str, Any]) -> tuple[bool, int | None, int]:
    """Return (whether to log, bytes per file, files). Raises: InvalidArgument."""
    log = host.get("LogConfig") or {}
    kind, options = log.get("Type") or "json-file", log.get("Config") or {}
    if kind not in ("json-file", "none"):
        raise InvalidArgument(f"logger: no log driver named '{kind}' is registered")
    for key in options:
        if key not in ("max-size", "max-file"):
            raise InvalidArgument(f"unknown log opt '{key}' for {kind} log driver")
    size = parse_size(options["max-size"]) if "max-size" in options else None
    count = str(options.get("max-file", "1"))
    if not count.isdigit() or int(count) < 1:
        raise InvalidArgument("max-file cannot be less than 1")
    return kind == "json-file", size, int(count)


def parse_size(text: str) -> int:
    """Return the bytes that "10m" means. Raises: InvalidArgument."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if not match:
        raise InvalidArgument(f"invalid size: '{text}'")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def sysctls(host: dict[str, Any]) -> dict[str, str]:
    """Return kernel parameters, only such as belong to the container's own namespaces."""
    wanted = dict(host.get("Sysctls") or {})
    for name in wanted:
        if not _SYSCTLS.fullmatch(name) or "/" in name:
            raise InvalidArgument(f"sysctl '{name}' is not allowed")
        if name.startswith("net.") and host.get("NetworkMode") == "host":
            raise InvalidArgument(f"sysctl '{name}' not allowed in host network namespace")
    return wanted


def rlimits(host: dict[str, Any]) -> tuple[tuple[str, int, int], ...]:
    """Return resource limits."""
    return tuple(
        (str(item["Name"]), int(item["Soft"]), int(item["Hard"]))
        for item in host.get("Ulimits") or ()
    )


def port_bindings(config: dict[str, Any], host: dict[str, Any]) -> tuple[PortBinding, ...]:
    """Return the ports to publish. Raises: InvalidArgument."""
    found = []
    for key, bindings in (host.get("PortBindings") or {}).items():
        port, protocol = parse_port(key)
        for binding in bindings or ():
            first, _, last = str(binding.get("HostPort") or "0").partition("-")
            try:
                numbers = (int(first), int(last or first))
            except ValueError as error:
                raise InvalidArgument(f"invalid port specification: {binding['HostPort']!r}") from (
                    error
                )
            if not all(0 <= number <= 65535 for number in numbers):
                raise InvalidArgument(f"invalid port specification: {binding['HostPort']!r}")
            host_ip = binding.get("HostIp") or ""
            end = numbers[1] if numbers[1] != numbers[0] else 0
            found.append(PortBinding(port, protocol, host_ip, numbers[0], end))
    if host.get("PublishAllPorts"):
        bound = {(item.container_port, item.protocol) for item in found}
        exposed = map(parse_port, config.get("ExposedPorts") or ())
        found.extend(PortBinding(*pair) for pair in exposed if pair not in bound)
    return tuple(found)


def parse_port(key: str) -> tuple[int, str]:
    """Return (port, protocol) of "80/tcp". Raises: InvalidArgument."""
    number, _, protocol = key.partition("/")
    if not number.isdigit() or not 0 < int(number) <= 65535:
        raise InvalidArgument(f"invalid port specification: {key!r}")
    if (protocol or "tcp") not in ("tcp", "udp"):
        raise Unsupported(f"publishing {protocol} ports is not supported by this engine")
    return int(number), protocol or "tcp"


def mounts_wanted(config: dict[str, Any], host: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every mount asked for, whatever the field, in one shape.

    Shape: {"Type": "bind"|"volume"|"tmpfs", "Source", "Target", "ReadOnly", "Options": [words]};
           a volume without a name has Source "".
    Raises: InvalidArgument(bad path, duplicate target, unknown option).
    """
    found = [_parse_bind(text) for text in host.get("Binds") or ()]
    for path, options in (host.get("Tmpfs") or {}).items():
        words = [word for word in options.split(",") if word]
        found.append(_mount("tmpfs", "", path, "ro" in words, words))
    found.extend(map(_parse_mount, host.get("Mounts") or ()))
    targets = [os.path.normpath(item["Target"]) for item in found]
    for target in targets:
        if targets.count(target) > 1:
            raise InvalidArgument(f"Duplicate mount point: {target}")
    declared = [
        path for path in config.get("Volumes") or () if os.path.normpath(path) not in targets
    ]
    found.extend(_mount("volume", "", path, False, []) for path in declared)
    for item in found:
        if not item["Target"].startswith("/"):
            raise InvalidArgument(
                f'invalid mount config for type "{item["Type"]}": invalid mount '
                f"path: '{item['Target']}' mount path must be absolute"
            )
        if os.path.normpath(item["Target"]) == "/":
            raise InvalidArgument("invalid specification: destination can't be '/'")
    return found


def _mount(
    kind: str, source: str, target: str, read_only: bool, options: list[str]
) -> dict[str, Any]:
    return {
        "Type": kind,
        "Source": source,
        "Target": target,
        "ReadOnly": read_only,
        "Options": options,
    }


def _parse_bind(text: str) -> dict[str, Any]:
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[1]:
        raise InvalidArgument(f"invalid volume specification: '{text}'")
    words = parts[2].split(",") if len(parts) == 3 else []
    known = {
        "ro",
        "rw",
        "z",
        "Z",
        "nocopy",
        "rprivate",
        "private",
        "rslave",
        "slave",
        "rshared",
        "shared",
        "rbind",
        "bind",
    }
    for word in words:
        if word not in known:
            raise InvalidArgument(f"invalid mode: {parts[2]}")
    kind = "bind" if parts[0].startswith("/") else "volume"
    if kind == "volume" and not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", parts[0]):
        raise InvalidArgument(
            f'"{parts[0]}" includes invalid characters for a local volume name, '
            'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to '
            "pass a host directory, use absolute path"
        )
    item = _mount(kind, parts[0], parts[1], "ro" in words, words)
    item["Create"] = kind == "bind"  # `-v` makes a missing host directory, `--mount` does not
    return item


def _parse_mount(item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("Type")
    if kind not in ("bind", "volume", "tmpfs"):
        raise InvalidArgument(f'invalid mount config for type "{kind}": mount type unknown')
    source, target = item.get("Source") or "", item.get("Target") or ""
    if not target:
        raise InvalidArgument(
            f'invalid mount config for type "{kind}": field Target must not be empty'
        )
    if kind == "bind" and not os.path.exists(source):
        raise InvalidArgument(
            f'invalid mount config for type "bind": bind source path does not exist: {source}'
        )
    words = []
    if kind == "bind" and (propagation := (item.get("BindOptions") or {}).get("Propagation")):
        words.append(propagation)
    if kind == "tmpfs":
        options = item.get("TmpfsOptions") or {}
        words += [f"size={options['SizeBytes']}"] if options.get("SizeBytes") else []
        words += [f"mode={options['Mode']:o}"] if options.get("Mode") else []
    if kind == "volume" and (item.get("VolumeOptions") or {}).get("NoCopy"):
        words.append("nocopy")
    return _mount(kind, source, target, bool(item.get("ReadOnly")), words)


def runtime_mount(item: dict[str, Any], source: str) -> Mount:
    """Return the runtime's mount for one wish whose source on the host is known."""
    if item["Type"] == "tmpfs":
        words = ["nosuid", "nodev", "noexec", *item["Options"]]
        if not any(word.startswith("mode=") for word in words):
            words.append("mode=1777")
        for positive, negative in (("exec", "noexec"), ("suid", "nosuid"), ("dev", "nodev")):
            if positive in words:
                words = [word for word in words if word not in (positive, negative)]
        return Mount("tmpfs", "tmpfs", item["Target"], tuple(words))
    words = [word for word in item["Options"] if word.endswith(("private", "slave", "shared"))]
    words = ["rbind", *(words or ["rprivate"]), *(["ro"] if item["ReadOnly"] else [])]
    return Mount("bind", source, item["Target"], tuple(words))

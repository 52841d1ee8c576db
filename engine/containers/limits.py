"""Limits that a client wrote into HostConfig: judged, then turned into the runtime's words."""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from engine.core.errors import InvalidArgument, Unsupported
from engine.kernel import cgroups
from engine.supervisor.spec import ResourceSpec

DEFAULT_PIDS = 4096  # a fork bomb must not take the machine with it
MINIMUM_MEMORY = 6 * 1024 * 1024
_GONE = "Your kernel does not support {}. {}"
_NO = "Your kernel does not support {} or the cgroup is not mounted. {}"
# HostConfig field: the file that carries it out in v1, in v2, and what is told without one.
_NEEDS: dict[str, tuple[str, str, str, str]] = {
    "Memory": (
        "memory",
        "memory.limit_in_bytes",
        "memory.max",
        _NO.format("memory limit capabilities", "Limitation discarded."),
    ),
    "MemorySwap": (
        "memory",
        "memory.memsw.limit_in_bytes",
        "memory.swap.max",
        _NO.format("swap limit capabilities", "Memory limited without swap."),
    ),
    "MemoryReservation": (
        "memory",
        "memory.soft_limit_in_bytes",
        "memory.low",
        _NO.format("memory soft limit capabilities", "Limitation discarded."),
    ),
    "MemorySwappiness": (
        "memory",
        "memory.swappiness",
        "",
        _NO.format("memory swappiness capabilities", "Memory swappiness discarded."),
    ),
    "OomKillDisable": (
        "memory",
        "memory.oom_control",
        "",
        _GONE.format("OomKillDisable", "OomKillDisable discarded."),
    ),
    "KernelMemoryTCP": (
        "memory",
        "memory.kmem.tcp.limit_in_bytes",
        "",
        _NO.format("kernel memory TCP limit capabilities", "Limitation discarded."),
    ),
    "PidsLimit": (
        "pids",
        "pids.max",
        "pids.max",
        _NO.format("PIDs limit capabilities", "PIDs limit discarded."),
    ),
    "CpuShares": (
        "cpu",
        "cpu.shares",
        "cpu.weight",
        _NO.format("CPU shares", "Shares discarded."),
    ),
    "CpuPeriod": (
        "cpu",
        "cpu.cfs_period_us",
        "cpu.max",
        _NO.format("CPU CFS scheduler", "CPU period discarded."),
    ),
    "CpuQuota": (
        "cpu",
        "cpu.cfs_quota_us",
        "cpu.max",
        _NO.format("CPU CFS scheduler", "CPU quota discarded."),
    ),
    "NanoCpus": (
        "cpu",
        "cpu.cfs_quota_us",
        "cpu.max",
        _NO.format("CPU CFS scheduler", "NanoCPUs discarded."),
    ),
    "CpusetCpus": ("cpuset", "cpuset.cpus", "cpuset.cpus", _NO.format("cpuset", "discarded.")),
    "CpusetMems": ("cpuset", "cpuset.mems", "cpuset.mems", _NO.format("cpuset", "discarded.")),
    "BlkioWeight": (
        "blkio",
        "blkio.bfq.weight",
        "io.bfq.weight",
        _NO.format("Block I/O weight", "Weight discarded."),
    ),
    "BlkioWeightDevice": (
        "blkio",
        "blkio.bfq.weight_device",
        "io.bfq.weight",
        _NO.format("Block I/O weight_device", "Weight-device discarded."),
    ),
    "BlkioDeviceReadBps": (
        "blkio",
        "blkio.throttle.read_bps_device",
        "io.max",
        _NO.format("BPS Block I/O read limit", "Block I/O BPS read limit discarded."),
    ),
    "BlkioDeviceWriteBps": (
        "blkio",
        "blkio.throttle.write_bps_device",
        "io.max",
        _NO.format("BPS Block I/O write limit", "Block I/O BPS write limit discarded."),
    ),
    "BlkioDeviceReadIOps": (
        "blkio",
        "blkio.throttle.read_iops_device",
        "io.max",
        _NO.format("IOPS Block read limit", "Block I/O IOPS read limit discarded."),
    ),
    "BlkioDeviceWriteIOps": (
        "blkio",
        "blkio.throttle.write_iops_device",
        "io.max",
        _NO.format("IOPS Block write limit", "Block I/O IOPS write limit discarded."),
    ),
}
_THROTTLES = {
    "BlkioDeviceReadBps": "rbps",
    "BlkioDeviceWriteBps": "wbps",
    "BlkioDeviceReadIOps": "riops",
    "BlkioDeviceWriteIOps": "wiops",
}
_DEVICE_RULE = re.compile(r"[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}")
_CPU_LIST = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


def discard_unsupported(host: dict[str, Any], group: str) -> list[str]:
    """Take out of `host` what this kernel has no file for; return the warnings to tell.

    `group` is a prepared group, below which containers will have theirs.
    """
    warnings = []
    found = cgroups.hierarchies()
    for name, (controller, v1, v2, warning) in _NEEDS.items():
        value = host.get(name)
        if not value or (name in ("MemorySwap", "MemorySwappiness") and value == -1):
            continue
        if controller == "blkio" and "io" in found.controllers:
            controller = "io"
        file = v2 if found.is_v2(controller) else v1
        if not file or not found.has(group, controller, file):
            host[name] = None if name in ("MemorySwappiness", "OomKillDisable") else type(value)()
            warnings.append(warning)
    if host.get("OomKillDisable") and not host.get("Memory"):
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can "
            "result in the system running out of resources."
        )
    realtime = host.get("CpuRealtimeRuntime") or host.get("CpuRealtimePeriod")
    if realtime and not found.has(group, "cpu", "cpu.rt_runtime_us"):
        raise Unsupported("Your kernel does not support CPU real-time scheduler")
    return warnings


def resources(host: dict[str, Any]) -> ResourceSpec:
    """Return the limits. Raises: InvalidArgument, in Docker's words."""
    memory, swap = _memory(host)
    quota, period = _cpu(host)
    pids = host.get("PidsLimit")
    swappiness = host.get("MemorySwappiness")
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise InvalidArgument(
            f"Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )
    weight = _number(host, "BlkioWeight")
    if weight and not 10 <= weight <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    for name in ("CpusetCpus", "CpusetMems"):
        _check_list(host.get(name) or "", name.removeprefix("Cpuset").lower())
    return ResourceSpec(
        memory=memory or None,
        memory_swap=(swap or memory * 2) if memory else None,
        memory_reservation=_number(host, "MemoryReservation") or None,
        memory_swappiness=None if swappiness in (None, -1) else int(swappiness),
        memory_tcp=_number(host, "KernelMemoryTCP") or None,
        oom_kill_disable=bool(host.get("OomKillDisable")),
        cpu_shares=_number(host, "CpuShares") or None,
        cpu_quota=quota or None,
        cpu_period=period or None,
        cpu_rt_runtime=_number(host, "CpuRealtimeRuntime") or None,
        cpu_rt_period=_number(host, "CpuRealtimePeriod") or None,
        cpuset_cpus=host.get("CpusetCpus") or None,
        cpuset_mems=host.get("CpusetMems") or None,
        pids=int(pids) if pids else DEFAULT_PIDS,  # the CLI says 0 for "not asked for"
        blkio_weight=weight or None,
        blkio_weights=tuple(
            (_block_device(item), int(item["Weight"]))
            for item in host.get("BlkioWeightDevice") or ()
        ),
        blkio_throttles=tuple(
            (word, _block_device(item), int(item["Rate"]))
            for name, word in _THROTTLES.items()
            for item in host.get(name) or ()
        ),
        devices=(
            *(f"{device_numbers(path)} {access}" for path, _, access in devices(host)),
            *_device_rules(host),
        ),
    )


def _number(host: dict[str, Any], name: str) -> int:
    value = host.get(name) or 0
    if not isinstance(value, int):
        raise InvalidArgument(f"invalid JSON: {name} must be a number")
    return value


def _memory(host: dict[str, Any]) -> tuple[int, int]:
    memory, swap = _number(host, "Memory"), _number(host, "MemorySwap")
    reservation = _number(host, "MemoryReservation")
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
    if 0 < reservation < MINIMUM_MEMORY:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if memory and reservation > memory:
        raise InvalidArgument(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    if host.get("KernelMemory"):
        raise Unsupported("KernelMemory is not supported: the kernel has removed this limit")
    return memory, swap


def _cpu(host: dict[str, Any]) -> tuple[int, int]:
    nano = _number(host, "NanoCpus")
    quota, period = _number(host, "CpuQuota"), _number(host, "CpuPeriod")
    if _number(host, "CpuShares") < 0:
        raise InvalidArgument(
            f"invalid CPU shares ({host['CpuShares']}): value must be a positive integer"
        )
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
        return nano * 100_000 // 1_000_000_000, 100_000
    if period and not 1000 <= period <= 1_000_000:
        raise InvalidArgument(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    runtime, whole = _number(host, "CpuRealtimeRuntime"), _number(host, "CpuRealtimePeriod")
    if runtime and whole and runtime > whole:
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")
    return quota, period


def _check_list(text: str, kind: str) -> None:
    """Judge a list of CPUs or memory nodes such as "0-2,4"."""
    if not text:
        return
    if not _CPU_LIST.fullmatch(text):
        raise InvalidArgument(f"Invalid value {text} for cpuset {kind}")
    found = cgroups.hierarchies()
    word = "cpuset.{}.effective" if found.is_v2("cpuset") else "cpuset.{}"
    if not (root := found.find("cpuset")):
        return
    available = cgroups.read(f"{root}/{word.format(kind)}").strip()
    if not _members(text) <= _members(available):
        what = "CPUs" if kind == "cpus" else "memory nodes"
        raise InvalidArgument(
            f"Requested {what} are not available - requested {text}, available: {available}"
        )


def _members(text: str) -> set[int]:
    result: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        result.update(range(int(first), int(last or first) + 1))
    return result


def _device_rules(host: dict[str, Any]) -> list[str]:
    rules = list(host.get("DeviceCgroupRules") or ())
    for rule in rules:
        if not _DEVICE_RULE.fullmatch(rule):
            raise InvalidArgument(f"invalid device cgroup rule format: '{rule}'")
    return rules


def device_numbers(path: str) -> str:
    """Return a device as cgroup rules name it, "c 1:3". Raises: InvalidArgument(no device)."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise InvalidArgument(
            f"error gathering device information while adding custom device "
            f'"{path}": no such file or directory'
        ) from error
    if not (stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode)):
        raise InvalidArgument(
            f'error gathering device information while adding custom device "{path}": '
            "not a device node"
        )
    letter = "b" if stat.S_ISBLK(found.st_mode) else "c"
    return f"{letter} {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _block_device(item: dict[str, Any]) -> str:
    kind, _, numbers = device_numbers(str(item.get("Path") or "")).partition(" ")
    if kind != "b":
        raise InvalidArgument(f"{item['Path']} is not a block device")
    return numbers


def devices(host: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Return (host path, container path, access) of each device asked for.

    A directory stands for every device in it. A privileged container gets all of the host's.
    """
    found: dict[str, tuple[str, str, str]] = {}
    if host.get("Privileged"):
        found = {path: (path, path, "rwm") for path in _nodes("/dev")}
    for item in host.get("Devices") or ():
        path = item["PathOnHost"]
        inside = item.get("PathInContainer") or path
        access = item.get("CgroupPermissions") or "rwm"
        if not set(access) <= set("rwm"):
            raise InvalidArgument(f"invalid device mode: {access}")
        if os.path.isdir(path):
            for node in _nodes(path):
                target = inside.rstrip("/") + node.removeprefix(path.rstrip("/"))
                found[target] = (node, target, access)
        else:
            found[inside] = (path, inside, access)
    return tuple(found.values())


# Every container has its own of these, or they are no devices of the machine.
_OWN = frozenset(
    "/dev/console /dev/fd /dev/.lxc /dev/.lxd-mounts /dev/mqueue /dev/ptmx /dev/pts "
    "/dev/shm".split()
)


def _nodes(directory: str) -> list[str]:
    result: list[str] = []
    for above, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if f"{above}/{name}" not in _OWN]
        for name in names:
            path = f"{above}/{name}"
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:  # unplugged while we look
                continue
            if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and path not in _OWN:
                result.append(path)
    return result


_RLIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime "
    "sigpending stack".split()
)


def rlimits(host: dict[str, Any]) -> tuple[tuple[str, int, int], ...]:
    """Return (name, soft, hard) of each resource limit. Raises: InvalidArgument."""
    result = []
    for item in host.get("Ulimits") or ():
        name, soft, hard = str(item["Name"]), int(item["Soft"]), int(item["Hard"])
        if name not in _RLIMITS:
            raise InvalidArgument(f"invalid ulimit type: {name}")
        if hard != -1 and (soft == -1 or soft > hard):
            raise InvalidArgument(
                f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            )
        result.append((name, soft, hard))
    return tuple(result)

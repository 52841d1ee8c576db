"""What the kernel counts about one container, in the words of v2 and v1."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.kernel.cgroups import pairs, read

if TYPE_CHECKING:
    from engine.kernel.cgroups import Cgroup

UNLIMITED_V1 = 0x7FFFFFFFFFFFF000


@dataclass
class CgroupStats:
    """One reading.

    Units: CPU in nanoseconds, memory and traffic in bytes; a limit of 0 is "none".
    """

    cpu_total_ns: int = 0
    cpu_user_ns: int = 0
    cpu_system_ns: int = 0
    cpu_each_ns: list[int] = field(default_factory=list)  # of each CPU; v2 does not count it
    throttled_periods: int = 0
    throttled_ns: int = 0
    periods: int = 0
    memory: int = 0
    memory_limit: int = 0
    memory_max: int = 0
    memory_failures: int = 0  # how often the limit was hit
    memory_stat: dict[str, int] = field(default_factory=dict)
    pids: int = 0
    pids_limit: int = 0
    block_io: dict[str, list[tuple[int, int, str, int]]] = field(default_factory=dict)
    networks: dict[str, dict[str, int]] = field(default_factory=dict)


def read_stats(cgroup: Cgroup, pid: int) -> CgroupStats:
    """Read every figure; files that this kernel lacks leave zeros."""
    stats = CgroupStats()
    for part in (_read_cpu, _read_memory, _read_pids, _read_block_io):
        with contextlib.suppress(FileNotFoundError, OSError):
            part(cgroup, stats)
    with contextlib.suppress(OSError):
        stats.networks = _read_networks(pid)
    return stats


def _read_cpu(cgroup: Cgroup, stats: CgroupStats) -> None:
    if cgroup.found.is_v2("cpu"):
        values = pairs(cgroup.path("cpu", "cpu.stat") or "")
        stats.cpu_total_ns = values.get("usage_usec", 0) * 1000
        stats.cpu_user_ns = values.get("user_usec", 0) * 1000
        stats.cpu_system_ns = values.get("system_usec", 0) * 1000
        stats.throttled_ns = values.get("throttled_usec", 0) * 1000
    else:
        directory = cgroup.path("cpuacct") or ""
        stats.cpu_total_ns = int(read(f"{directory}cpuacct.usage"))
        stats.cpu_user_ns = int(read(f"{directory}cpuacct.usage_user"))
        stats.cpu_system_ns = int(read(f"{directory}cpuacct.usage_sys"))
        each = read(f"{directory}cpuacct.usage_percpu").split()
        stats.cpu_each_ns = [int(word) for word in each]
        values = pairs(cgroup.path("cpu", "cpu.stat") or "")
        stats.throttled_ns = values.get("throttled_time", 0)
    stats.periods = values.get("nr_periods", 0)
    stats.throttled_periods = values.get("nr_throttled", 0)


def _read_memory(cgroup: Cgroup, stats: CgroupStats) -> None:
    directory = cgroup.path("memory") or ""
    stats.memory_stat = pairs(f"{directory}memory.stat")
    if cgroup.found.is_v2("memory"):
        stats.memory = int(read(f"{directory}memory.current"))
        limit = read(f"{directory}memory.max").strip()
        stats.memory_limit = 0 if limit == "max" else int(limit)
        stats.memory_failures = pairs(f"{directory}memory.events").get("max", 0)
        stats.memory_max = int(read(f"{directory}memory.peak"))
        return
    stats.memory = int(read(f"{directory}memory.usage_in_bytes"))
    value = int(read(f"{directory}memory.limit_in_bytes"))
    stats.memory_limit = 0 if value >= UNLIMITED_V1 else value
    stats.memory_max = int(read(f"{directory}memory.max_usage_in_bytes"))
    stats.memory_failures = int(read(f"{directory}memory.failcnt"))


def _read_pids(cgroup: Cgroup, stats: CgroupStats) -> None:
    directory = cgroup.path("pids") or ""
    stats.pids = int(read(f"{directory}pids.current"))
    limit = read(f"{directory}pids.max").strip()
    stats.pids_limit = 0 if limit == "max" else int(limit)


def _read_block_io(cgroup: Cgroup, stats: CgroupStats) -> None:
    sizes = stats.block_io["io_service_bytes_recursive"] = []
    counts = stats.block_io["io_serviced_recursive"] = []
    if cgroup.found.is_v2("io"):
        for line in read(cgroup.path("io", "io.stat") or "").splitlines():
            device, *words = line.split()
            major, minor = map(int, device.split(":"))
            values = dict(word.split("=", 1) for word in words)
            for letter, name in (("r", "read"), ("w", "write")):
                sizes.append((major, minor, name, int(values.get(f"{letter}bytes", 0))))
                counts.append((major, minor, name, int(values.get(f"{letter}ios", 0))))
        return
    directory = cgroup.path("blkio") or ""
    for rows, file in ((sizes, "io_service_bytes"), (counts, "io_serviced")):
        for line in read(f"{directory}blkio.throttle.{file}").splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in ("Read", "Write"):
                major, minor = map(int, words[0].split(":"))
                rows.append((major, minor, words[1].lower(), int(words[2])))


def _read_networks(pid: int) -> dict[str, dict[str, int]]:
    networks = {}
    with open(f"/proc/{pid}/net/dev", encoding="ascii") as lines:
        for line in list(lines)[2:]:
            name, _, rest = line.partition(":")
            values = [int(word) for word in rest.split()]
            if name.strip() != "lo":
                networks[name.strip()] = {
                    "rx_bytes": values[0],
                    "rx_packets": values[1],
                    "rx_errors": values[2],
                    "rx_dropped": values[3],
                    "tx_bytes": values[8],
                    "tx_packets": values[9],
                    "tx_errors": values[10],
                    "tx_dropped": values[11],
                }
    return networks

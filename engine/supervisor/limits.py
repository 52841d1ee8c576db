"""A container's limits, written into its cgroup in the words of v2 or v1."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from engine.kernel import devices
from engine.kernel.cgroups import read, write

if TYPE_CHECKING:
    from engine.kernel.cgroups import Cgroup
    from engine.supervisor.spec import ResourceSpec

UNLIMITED = -1
CPU_PERIOD = 100_000  # µs, the kernel's default

# What every container may use: the nodes the runtime makes, and terminals.
# Source: OCI runtime spec, config-linux.md, default devices.
DEFAULT_DEVICES = (
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
)


def apply_resources(cgroup: Cgroup, resources: ResourceSpec) -> None:
    """Write every limit that is set; what is None stays as it is.

    Raises: OSError(the kernel refused a value), with the control file's name.
    """
    _apply_memory(cgroup, resources)
    _apply_cpu(cgroup, resources)
    _apply_realtime(cgroup, resources)
    _apply_block_io(cgroup, resources)
    for name, value in (("cpus", resources.cpuset_cpus), ("mems", resources.cpuset_mems)):
        if value and (path := cgroup.path("cpuset", f"cpuset.{name}")):
            write(path, value)
    if resources.pids is not None and (path := cgroup.path("pids", "pids.max")):
        write(path, resources.pids if resources.pids > 0 else "max")


def _apply_memory(cgroup: Cgroup, resources: ResourceSpec) -> None:
    memory, swap = resources.memory, resources.memory_swap
    if cgroup.found.is_v2("memory"):
        values = {"memory.max": memory, "memory.low": resources.memory_reservation}
        if memory and swap is not None:
            # v2 counts swap alone, Docker counts memory and swap together.
            values["memory.swap.max"] = UNLIMITED if swap == UNLIMITED else swap - memory
        for name, value in values.items():
            if value and (path := cgroup.path("memory", name)):
                write(path, "max" if value == UNLIMITED else value)
        return
    pairs = [("memory.limit_in_bytes", memory), ("memory.memsw.limit_in_bytes", swap)]
    current = cgroup.path("memory", "memory.limit_in_bytes")
    # Memory may never exceed memory + swap, so a rise starts with the sum and a fall ends with it.
    if memory and current and memory > int(read(current)):
        pairs.reverse()
    rest = [
        ("memory.soft_limit_in_bytes", resources.memory_reservation),
        ("memory.kmem.tcp.limit_in_bytes", resources.memory_tcp),
    ]
    for name, value in (*pairs, *rest):
        if value and (path := cgroup.path("memory", name)):
            _write_memory(path, value)
    directory = cgroup.path("memory")
    if directory and resources.memory_swappiness is not None:
        write(f"{directory}memory.swappiness", resources.memory_swappiness)
    if directory and resources.oom_kill_disable:
        write(f"{directory}memory.oom_control", 1)


def _write_memory(path: str, value: int) -> None:
    try:
        write(path, value)
    except FileNotFoundError:
        # A kernel without swap accounting has no memsw files; the memory limit still holds.
        if "memsw" not in path:
            raise


def _apply_cpu(cgroup: Cgroup, resources: ResourceSpec) -> None:
    quota, period = resources.cpu_quota, resources.cpu_period
    if cgroup.found.is_v2("cpu"):
        if quota or period:
            limit = "max" if not quota or quota < 0 else quota
            write(cgroup.path("cpu", "cpu.max") or "", f"{limit} {period or CPU_PERIOD}")
        if resources.cpu_shares:
            # The kernel maps 2…262144 shares to 1…10000 weight, as cgroup-v2.rst advises.
            weight = 1 + (max(resources.cpu_shares, 2) - 2) * 9999 // 262142
            write(cgroup.path("cpu", "cpu.weight") or "", weight)
        return
    values = {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota}
    for name, value in {**values, "cpu.shares": resources.cpu_shares}.items():
        if value and (path := cgroup.path("cpu", name)):
            write(path, value)


def _apply_realtime(cgroup: Cgroup, resources: ResourceSpec) -> None:
    if not (resources.cpu_rt_runtime or resources.cpu_rt_period):
        return
    directory = cgroup.path("cpu") or ""
    # A group may hand down only what it has itself, and a new group has nothing.
    for place in (os.path.dirname(directory.rstrip("/")) + "/", directory):
        for name, value in (
            ("cpu.rt_period_us", resources.cpu_rt_period),
            ("cpu.rt_runtime_us", resources.cpu_rt_runtime),
        ):
            if value and (place == directory or int(read(place + name)) < value):
                write(place + name, value)


def _apply_block_io(cgroup: Cgroup, resources: ResourceSpec) -> None:
    if cgroup.found.is_v2("io"):
        directory = cgroup.path("io") or ""
        for word, device, rate in resources.blkio_throttles:
            write(f"{directory}io.max", f"{device} {word}={rate}")
        if resources.blkio_weight:
            write(f"{directory}io.bfq.weight", f"default {resources.blkio_weight}")
        for device, weight in resources.blkio_weights:
            write(f"{directory}io.bfq.weight", f"{device} {weight}")
        return
    if (directory := cgroup.path("blkio") or "") == "":
        return
    names = {"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops"}
    for word, device, rate in resources.blkio_throttles:
        write(f"{directory}blkio.throttle.{names[word]}_device", f"{device} {rate}")
    if resources.blkio_weight:
        write(f"{directory}blkio.bfq.weight", resources.blkio_weight)
    for device, weight in resources.blkio_weights:
        write(f"{directory}blkio.bfq.weight_device", f"{device} {weight}")


def apply_devices(cgroup: Cgroup, extra: tuple[str, ...]) -> None:
    """Deny every device but the default ones and `extra`.

    Source: kernel Documentation/admin-guide/cgroup-v1/devices.rst.
    """
    rules = (*DEFAULT_DEVICES, *extra)
    unified = cgroup.open_unified()
    if unified is not None:
        try:
            devices.attach(devices.compile_rules(rules), unified)
        finally:
            os.close(unified)
        return
    if (directory := cgroup.path("devices")) is None:
        raise OSError(errno.ENOTSUP, "no cgroup hierarchy that could hold devices back")
    write(f"{directory}devices.deny", "a")
    for rule in rules:
        write(f"{directory}devices.allow", rule)

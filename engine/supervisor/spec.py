"""What the runtime is asked to run: plain data, sent to the spawner as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from engine.kernel.mount import Mount


@dataclass(frozen=True)
class ProcessSpec:
    """One process inside a container: its init, or an exec.

    Shape: `user` is what the client typed ("", "uid", "name", "user:group"); it is looked up in the
           container's own passwd and group after the root has been entered.
           `capabilities` are names such as "CAP_CHOWN": bounding, permitted and effective sets.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    make_cwd: bool = False  # a container's own is made when missing, an exec's is not
    user: str = ""
    group_add: tuple[str, ...] = ()
    terminal: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    console_size: tuple[int, int] | None = None  # rows, columns
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    seccomp: str | None = "default"  # "default", a profile as JSON text, None for unconfined
    apparmor: str | None = None  # a profile's name; None leaves the process as it is
    rlimits: tuple[tuple[str, int, int], ...] = ()  # ("nofile", soft, hard)
    oom_score_adj: int = 0


@dataclass(frozen=True)
class InterfaceSpec:
    """One interface of a container: a veth pair whose far end is a port of a bridge, or a macvlan.

    Shape: `name` is inside the container, `host_name` the bridge's port ("" for macvlan);
           `parent` is the bridge, or the device that a macvlan stands on. Addresses are CIDR
           strings ("172.30.0.2/16"). `gateway` and `gateway6` are bare addresses and set only on
           the interface that everything else goes through. `sysctls` maps paths below
           net/*/conf/<interface> such as "ipv4/log_martians" to values.
    """

    name: str
    host_name: str
    parent: str
    mac: str
    mtu: int = 1500
    addresses: tuple[str, ...] = ()
    gateway: str | None = None
    gateway6: str | None = None
    kind: str = "veth"
    mode: str = ""  # of a macvlan
    isolated: bool = False  # no way to other ports of the bridge
    sysctls: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ResourceSpec:
    """Limits of a container's cgroup; None is "no limit".

    Units: memory in bytes (swap is memory + swap, -1 unlimited), CPU quota and period in µs.
    """

    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    memory_swappiness: int | None = None
    memory_tcp: int | None = None
    oom_kill_disable: bool = False
    cpu_shares: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpu_rt_runtime: int | None = None
    cpu_rt_period: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids: int | None = None
    blkio_weight: int | None = None
    blkio_weights: tuple[tuple[str, int], ...] = ()  # ("8:0", weight)
    blkio_throttles: tuple[tuple[str, str, int], ...] = ()  # ("rbps", "8:0", bytes or operations)
    devices: tuple[str, ...] = ()  # device cgroup rules, "c 1:3 rwm"; the default set is implied


@dataclass(frozen=True)
class ContainerSpec:
    """A whole container as the runtime sees it.

    Shape: `rootfs` are the mounts that make the root, made inside the container's own mount
           namespace, so nothing of them is ever seen on the host; their target is "".
           `mounts` come on top of the runtime's own (/proc /dev /sys /dev/shm …), their targets
           are absolute paths inside the container, resolved within its root, created when missing.
           `namespaces` maps kind ("net", "pid", "ipc", "uts", "cgroup", "mount") to "private",
           "host" or a path to join. `shm` is whose /dev/shm is seen: "" one of its own, "host",
           "none", or the path of a mount namespace to take it from.
           `cgroup` is the group's name below every hierarchy's root.
    """

    id: str
    cgroup: str
    hostname: str
    domainname: str
    process: ProcessSpec
    rootfs: tuple[Mount, ...]
    log_path: str | None
    log_max_size: int | None = None  # bytes per file before rotation; None never rotates
    log_max_files: int = 1
    log_compress: bool = False
    log_attributes: dict[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    namespaces: dict[str, str] = field(default_factory=dict)
    interfaces: tuple[InterfaceSpec, ...] = ()
    resources: ResourceSpec = field(default_factory=ResourceSpec)
    readonly_rootfs: bool = False
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctls: dict[str, str] = field(default_factory=dict)
    devices: tuple[tuple[str, str, str], ...] = ()  # host path, container path, "rwm"
    shm_size: int = 64 * 1024 * 1024
    shm: str = ""
    id_map: tuple[int, int] | None = None  # first ID outside, how many; None: the host's users
    privileged: bool = False
    resolver: str = ""  # the address at which the engine answers for names; "" for no such thing


def to_json(spec: ContainerSpec | ProcessSpec | InterfaceSpec) -> dict[str, Any]:
    """Return a spec as plain JSON values."""
    return asdict(spec)


def container_from_json(data: dict[str, Any]) -> ContainerSpec:
    """Return the spec that `to_json` was given."""
    return ContainerSpec(
        **{
            **data,
            "process": process_from_json(data["process"]),
            "rootfs": _mounts(data["rootfs"]),
            "mounts": _mounts(data["mounts"]),
            "interfaces": tuple(interface_from_json(item) for item in data["interfaces"]),
            "resources": ResourceSpec(**data["resources"]),
            "devices": tuple(tuple(device) for device in data["devices"]),
        }
    )


def interface_from_json(data: dict[str, Any]) -> InterfaceSpec:
    """Return the interface that `to_json` was given."""
    return InterfaceSpec(**{**data, "addresses": tuple(data["addresses"])})


def process_from_json(data: dict[str, Any]) -> ProcessSpec:
    """Return the process spec that `to_json` was given."""
    return ProcessSpec(**data)


def _mounts(items: list[dict[str, Any]]) -> tuple[Mount, ...]:
    return tuple(Mount(**{**item, "options": tuple(item["options"])}) for item in items)

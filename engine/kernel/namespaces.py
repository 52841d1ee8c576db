"""Namespaces: making them, joining them, and processes that are born in them."""

from __future__ import annotations

import ctypes
import os
import signal

from engine.kernel._libc import SYS_CLONE3, SYS_PIDFD_SEND_SIGNAL, fail, libc, syscall

CLONE_PIDFD = 0x1000
CLONE_PARENT = 0x8000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

KINDS = {
    "mount": CLONE_NEWNS,
    "cgroup": CLONE_NEWCGROUP,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "pid": CLONE_NEWPID,
    "net": CLONE_NEWNET,
}
# Not the same everywhere, as older calls are not.
_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220}.get(os.uname().machine, 56)


class _CloneArgs(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


def clone3(flags: int, cgroup_fd: int | None = None) -> tuple[int, int]:
    """Fork into new namespaces; return (0, -1) in the child, (pid, pidfd) in the parent.

    The caller must be single-threaded, as after fork(2). With `cgroup_fd` the child is born in
    that v2 cgroup. Source: clone3(2).
    """
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArgs(
        flags=flags | CLONE_PIDFD | (0 if cgroup_fd is None else CLONE_INTO_CGROUP),
        pidfd=ctypes.addressof(pidfd),
        # A sibling's end is told as the caller's own would be, so it may name no signal.
        exit_signal=0 if flags & CLONE_PARENT else int(signal.SIGCHLD),
        cgroup=0 if cgroup_fd is None else cgroup_fd,
    )
    pid = syscall("clone3", SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
    return (pid, pidfd.value) if pid else (0, -1)


def fork_sibling() -> tuple[int, int]:
    """Fork a child of one's own parent; return (0, -1) in the child, (pid, pidfd) in the caller.

    By clone(2), not clone3(2): filters of system calls refuse what they cannot look into.
    """
    pidfd = ctypes.c_int(-1)
    flags = ctypes.c_ulong(CLONE_PARENT | CLONE_PIDFD)
    address = ctypes.byref(pidfd)
    pid = int(libc.syscall(ctypes.c_long(_SYS_CLONE), flags, None, address, None, None))
    if pid < 0:
        raise fail("clone")
    return (pid, pidfd.value) if pid else (0, -1)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones. Raises OSError(errno). Source: unshare(2)."""
    if libc.unshare(flags) < 0:
        raise fail("unshare")


def setns(fd: int, flags: int = 0) -> None:
    """Join a namespace, or several of the process that a pidfd names. Source: setns(2)."""
    if libc.setns(fd, flags) < 0:
        raise fail("setns")


def sethostname(name: str) -> None:
    """Name this UTS namespace's host. Source: sethostname(2)."""
    data = name.encode()
    if libc.sethostname(data, len(data)) < 0:
        raise fail("sethostname", name)


def setdomainname(name: str) -> None:
    """Name this UTS namespace's domain. Source: setdomainname(2)."""
    data = name.encode()
    if libc.setdomainname(data, len(data)) < 0:
        raise fail("setdomainname", name)


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """Send a signal to exactly the process that `pidfd` names. Source: pidfd_send_signal(2)."""
    syscall("pidfd_send_signal", SYS_PIDFD_SEND_SIGNAL, pidfd, number, None, 0)


def write_id_maps(pid: int, base: int, size: int) -> None:
    """Let users 0 to size of a process's user namespace be those from `base` on outside."""
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
            file.write(f"0 {base} {size}")


def pid_of(pidfd: int) -> int:
    """Return the number of the process that `pidfd` names, as this /proc counts. -1: it ended."""
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Pid:"):
                return int(line.split()[1])
    return -1


def join_path(path: str, flags: int) -> None:
    """Join the namespace that the file `path` stands for."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(fd, flags)
    finally:
        os.close(fd)

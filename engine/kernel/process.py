"""What a process may do: prctl(2), capabilities, credentials, descriptors."""

from __future__ import annotations

import codecs
import ctypes
import sys

from engine.kernel._libc import fail, libc

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# Numbers of linux/capability.h, in order.
CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP "
        "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER "
        "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
        "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
        "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
        "CHECKPOINT_RESTORE"
    ).split()
)
_NUMBERS = {name: number for number, name in enumerate(CAPABILITIES)}
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def prctl(option: int, argument: int = 0, argument3: int = 0) -> int:
    """Call prctl(2) with integer arguments. Raises OSError(errno)."""
    words = (ctypes.c_ulong(argument), ctypes.c_ulong(argument3), ctypes.c_ulong(0))
    result = int(libc.prctl(option, *words, ctypes.c_ulong(0)))
    if result < 0:
        raise fail("prctl", str(option))
    return result


def set_name(name: str) -> None:
    """Name this thread as `ps` shows it; 15 bytes at most."""
    if libc.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0) < 0:
        raise fail("prctl", "PR_SET_NAME")


def held_capabilities() -> frozenset[str]:
    """Return what this process's bounding set allows."""
    names = set()
    for name, number in _NUMBERS.items():
        try:
            if prctl(PR_CAPBSET_READ, number) == 1:
                names.add(name)
        except OSError:  # a kernel older than the capability
            break
    return frozenset(names)


def drop_bounding(keep: frozenset[str], held: frozenset[str]) -> None:
    """Drop from the bounding set all but `keep`; ambient is cleared too (CVE-2022-24769)."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for name in held - keep:
        prctl(PR_CAPBSET_DROP, _NUMBERS[name])


def set_capabilities(names: frozenset[str]) -> None:
    """Set effective and permitted to `names` and inheritable to nothing. Source: capset(2)."""
    mask = sum(1 << _NUMBERS[name] for name in names)
    header = _Header(_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (_Data * 2)(_Data(low, low, 0), _Data(high, high, 0))
    if libc.capset(ctypes.byref(header), ctypes.byref(data)) < 0:
        raise fail("capset")


def act_as(uid: int, capabilities: frozenset[str]) -> None:
    """Touch files as another user and group, with capabilities kept. Source: setfsuid(2)."""
    libc.setfsgid(ctypes.c_uint(uid))
    libc.setfsuid(ctypes.c_uint(uid))
    set_capabilities(capabilities)  # giving up being root has taken those about files away


def forbid_imports() -> None:
    """Let nothing be imported from now on: what a container's root has must never be run by us.

    Codecs count as imports, so those that Python may ask for are looked up first.
    """
    for name in ("ascii", "latin-1", "utf-8", sys.getfilesystemencoding()):
        codecs.lookup(name)
    sys.meta_path.clear()
    sys.path_hooks.clear()


def close_range(first: int, last: int = 0xFFFFFFFF) -> None:
    """Close all descriptors from `first` to `last`. Source: close_range(2)."""
    if first <= last and libc.close_range(ctypes.c_uint(first), ctypes.c_uint(last), 0) < 0:
        raise fail("close_range")

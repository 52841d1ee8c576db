"""Mounts: what is to be attached where, and the system calls that do it."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

from engine.kernel._libc import (
    SYS_FSCONFIG,
    SYS_FSMOUNT,
    SYS_FSOPEN,
    SYS_MOUNT_SETATTR,
    SYS_MOVE_MOUNT,
    SYS_OPEN_TREE,
    SYS_OPENAT2,
    SYS_PIVOT_ROOT,
    fail,
    libc,
    syscall,
)

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MNT_DETACH = 2

AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_IDMAP = 0x100000

PROC_SUPER_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_IN_ROOT = 0x10

_ATTRIBUTES = {
    "ro": MOUNT_ATTR_RDONLY,
    "nosuid": MOUNT_ATTR_NOSUID,
    "nodev": MOUNT_ATTR_NODEV,
    "noexec": MOUNT_ATTR_NOEXEC,
}
_PROPAGATION = {"private": MS_PRIVATE, "slave": MS_SLAVE, "shared": MS_SHARED}


@dataclass(frozen=True)
class Mount:
    """One mount to be made: mount(2)'s arguments, with options as `mount -o` words.

    Shape: bind mounts have fstype "bind" and options such as ("rbind", "ro", "rprivate"), where
           "ro-top" leaves mounts below writable; fstype "image" shows the layers that `source`
           names, topmost first, joined by ":". `subpath` is a directory or file inside the source.
    """

    fstype: str
    source: str
    target: str
    options: tuple[str, ...] = ()
    subpath: str = ""


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
    """Attach `source` at `target`. Raises OSError(errno). Source: mount(2)."""
    arguments = (os.fsencode(source), os.fsencode(target), fstype.encode())
    if libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None) < 0:
        raise fail("mount", target)


def umount2(target: str, flags: int = 0) -> None:
    """Detach what is mounted at `target`. Raises OSError(errno). Source: umount2(2)."""
    if libc.umount2(os.fsencode(target), flags) < 0:
        raise fail("umount2", target)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root of this mount namespace. Source: pivot_root(2)."""
    arguments = (os.fsencode(new_root), os.fsencode(put_old))
    syscall("pivot_root", SYS_PIVOT_ROOT, *arguments, subject=new_root)


def open_tree(path: str, *, recursive: bool = True) -> int:
    """Return a descriptor of a detached copy of the mount at `path`. Source: open_tree(2)."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return syscall("open_tree", SYS_OPEN_TREE, -100, os.fsencode(path), flags, subject=path)


def move_mount(mount_fd: int, target_fd: int) -> None:
    """Attach a detached mount on the file that `target_fd` names. Source: move_mount(2)."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    syscall("move_mount", SYS_MOVE_MOUNT, mount_fd, b"", target_fd, b"", flags)


def mount_setattr(
    mount_fd: int, attributes: int = 0, propagation: int = 0, *, recursive: bool = False
) -> None:
    """Set attributes of a mount that need not be attached yet. Source: mount_setattr(2)."""
    value = _MountAttr(attr_set=attributes, propagation=propagation)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    size = ctypes.sizeof(value)
    syscall("mount_setattr", SYS_MOUNT_SETATTR, mount_fd, b"", flags, ctypes.byref(value), size)


def map_ids(mount_fd: int, userns_fd: int) -> None:
    """Let files of a detached mount belong to the users of a user namespace.

    Source: mount_setattr(2), MOUNT_ATTR_IDMAP; overlay and some others refuse it (EINVAL).
    """
    value = _MountAttr(attr_set=MOUNT_ATTR_IDMAP, userns_fd=userns_fd)
    flags = AT_EMPTY_PATH | AT_RECURSIVE
    size = ctypes.sizeof(value)
    syscall("mount_setattr", SYS_MOUNT_SETATTR, mount_fd, b"", flags, ctypes.byref(value), size)


def new_filesystem(fstype: str, options: dict[str, str | None], attributes: int = 0) -> int:
    """Return a descriptor of a new, detached filesystem. Source: fsopen(2), fsmount(2)."""
    context = syscall("fsopen", SYS_FSOPEN, fstype.encode(), FSOPEN_CLOEXEC, subject=fstype)
    try:
        # Its name in mountinfo, where tools expect the type's own.
        for key, value in {"source": fstype, **options}.items():
            command = FSCONFIG_SET_FLAG if value is None else FSCONFIG_SET_STRING
            text = None if value is None else value.encode()
            syscall("fsconfig", SYS_FSCONFIG, context, command, key.encode(), text, 0, subject=key)
        syscall("fsconfig", SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
        return syscall("fsmount", SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0, *, links: bool = True) -> int:
    """Open `path` as a process whose root is `root_fd` would, links and dots included.

    Source: openat2(2), RESOLVE_IN_ROOT; magic links are refused, so /proc leads nowhere. Without
    `links` every symbolic link on the way is refused (ELOOP).
    """
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (0 if links else RESOLVE_NO_SYMLINKS)
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    arguments = (root_fd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
    return syscall("openat2", SYS_OPENAT2, *arguments, subject=path)


def filesystem_of(fd: int) -> int:
    """Return the magic number of the filesystem that a descriptor is on. Source: statfs(2)."""
    buffer = (ctypes.c_long * 32)()
    if libc.fstatfs(fd, buffer) < 0:
        raise fail("fstatfs")
    return int(buffer[0])


def attributes_of(options: tuple[str, ...]) -> int:
    """Return the MOUNT_ATTR_ bits that `mount -o` words ask for."""
    return sum(_ATTRIBUTES[word] for word in set(options) & _ATTRIBUTES.keys())


def propagation_of(options: tuple[str, ...]) -> tuple[int, bool]:
    """Return the MS_ propagation flag and whether it is recursive; private when not named."""
    for word in options:
        if word.removeprefix("r") in _PROPAGATION:
            return _PROPAGATION[word.removeprefix("r")], word.startswith("r")
    return MS_PRIVATE, True

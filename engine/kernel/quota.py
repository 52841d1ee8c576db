"""A limit for a volume by a project quota, where its filesystem keeps them (ext4, xfs).

Source: quotactl(2), FS_IOC_FSSETXATTR in linux/fs.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import struct

from engine.core.errors import InvalidArgument, Unsupported
from engine.kernel._libc import syscall

SYS_QUOTACTL_FD = 443
PRJQUOTA = 2
Q_XGETQSTATV = (ord("X") << 8) + 8
Q_XSETQLIM = (ord("X") << 8) + 4
FS_QSTATV_VERSION1 = 1
FS_QUOTA_PDQ_ENFD = 1 << 5
FS_DQUOT_VERSION = 1
FS_PROJ_QUOTA = 2
FS_DQ_BSOFT_BHARD = 1 << 2 | 1 << 3
FS_IOC_FSGETXATTR = 0x801C581F
FS_IOC_FSSETXATTR = 0x401C5820
FS_XFLAG_PROJINHERIT = 0x200
BASIC_BLOCK = 512  # bytes; the unit of the limits
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def read_size(text: str) -> int:
    """Return the bytes that "10G" means. Raises: InvalidArgument."""
    match = re.fullmatch(r"(\d+)\s*([kmgt]?)i?b?", text.strip().lower())
    if not match or not int(match[1]):
        raise InvalidArgument(f"invalid size: '{text}'")
    return int(match[1]) * _UNITS[match[2]]


def limit(directory: str, size: str) -> None:
    """Let a directory and all below it hold no more than `size`.

    Raises: InvalidArgument(size) · Unsupported(no project quotas here).
    """
    most = read_size(size)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _is_enforced(fd):
            raise Unsupported(
                "quota size requested but no quota support: the filesystem of the engine's data "
                "must be xfs or ext4, mounted with prjquota"
            )
        # The inode's number is as unique on the filesystem as a project must be.
        project = os.fstat(fd).st_ino & 0xFFFFFFFF
        attributes = bytearray(28)
        fcntl.ioctl(fd, FS_IOC_FSGETXATTR, attributes)
        flags, extent, extents, _, cow = struct.unpack_from("=IIIII", attributes)
        flags |= FS_XFLAG_PROJINHERIT
        struct.pack_into("=IIIII", attributes, 0, flags, extent, extents, project, cow)
        fcntl.ioctl(fd, FS_IOC_FSSETXATTR, attributes)
        blocks = most // BASIC_BLOCK
        record = struct.pack(
            "=bbHIQQ",
            FS_DQUOT_VERSION,
            FS_PROJ_QUOTA,
            FS_DQ_BSOFT_BHARD,
            project,
            blocks,
            blocks,
        ).ljust(112, b"\0")
        _quotactl(fd, Q_XSETQLIM, project, ctypes.create_string_buffer(record, 112))
    finally:
        os.close(fd)


def _is_enforced(fd: int) -> bool:
    status = ctypes.create_string_buffer(struct.pack("=b", FS_QSTATV_VERSION1), 256)
    try:
        _quotactl(fd, Q_XGETQSTATV, 0, status)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ESRCH, errno.ENOTTY):
            return False
        raise
    (flags,) = struct.unpack_from("=H", status, 2)
    return bool(flags & FS_QUOTA_PDQ_ENFD)


def _quotactl(fd: int, command: int, project: int, address: object) -> None:
    whole = (command << 8) | PRJQUOTA
    syscall("quotactl_fd", SYS_QUOTACTL_FD, fd, whole, project, address)

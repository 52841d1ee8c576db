"""libc by ctypes: one handle, one way to call, one way to fail."""

from __future__ import annotations

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)

# x86_64 numbers of calls that the oldest supported glibc (2.36) has no wrapper for are the same on
# every architecture from 424 on; only these two differ and are looked up by machine.
_SECCOMP = {"x86_64": 317, "aarch64": 277}
SYS_SECCOMP = _SECCOMP.get(os.uname().machine, 317)
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(os.uname().machine, 155)
SYS_PIDFD_SEND_SIGNAL = 424
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_CLONE3 = 435
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442

libc.syscall.restype = ctypes.c_long


def fail(call: str, subject: str = "") -> OSError:
    """Return the OSError for the errno that the last libc call left."""
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}", subject or None)


def syscall(name: str, number: int, *arguments: object, subject: str = "") -> int:
    """Make the raw system call `number`; integers are passed as longs.

    Raises: OSError(errno), naming the call and its subject.
    """
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        raise fail(name, subject)
    return result

"""AppArmor: the profile that confines a container's processes where the kernel has it.

Source: apparmor.d(5), apparmor_parser(8).
"""

from __future__ import annotations

import errno
import functools
import subprocess
from pathlib import Path

DEFAULT_PROFILE = "hythe-default"
_ENABLED = Path("/sys/module/apparmor/parameters/enabled")
_PROFILES = Path("/sys/kernel/security/apparmor/profiles")

# What seccomp and capabilities leave open: nothing may be mounted, the kernel's own files are not
# written even by root, and only processes of containers are traced or signalled.
_DEFAULT_TEXT = f"""
profile {DEFAULT_PROFILE} flags=(attach_disconnected,mediate_deleted) {{
  network,
  capability,
  file,
  umount,
  signal (receive) peer=unconfined,
  signal (send, receive) peer={DEFAULT_PROFILE},
  ptrace (trace, read, tracedby, readby) peer={DEFAULT_PROFILE},

  deny mount,
  deny /proc/* w,
  deny /proc/{{acpi,asound,bus,driver,fs,irq,scsi,tty}}/** w,
  deny /proc/sys/[^kn]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sys/kernel/s[^h]** w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"""


@functools.cache
def is_enabled() -> bool:
    """Return whether this kernel runs with AppArmor."""
    try:
        return _ENABLED.read_text(encoding="ascii").strip() == "Y"
    except FileNotFoundError:
        return False


def is_loaded(profile: str) -> bool:
    """Return whether the kernel knows a profile of that name."""
    try:
        lines = _PROFILES.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.rpartition(" (")[0] == profile for line in lines)


@functools.cache
def default_profile() -> str | None:
    """Return the profile of containers that name none; None where there is no AppArmor."""
    return DEFAULT_PROFILE if is_enabled() and is_loaded(DEFAULT_PROFILE) else None


def load_default() -> None:
    """Give the kernel the default profile.

    Raises: OSError(ENOENT: apparmor_parser is missing; EINVAL: what it says).
    """
    command = ["apparmor_parser", "--replace", "--skip-cache", "--quiet"]
    try:
        subprocess.run(command, input=_DEFAULT_TEXT, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        message = "apparmor_parser is missing (package apparmor)"
        raise OSError(errno.ENOENT, message) from None
    except subprocess.CalledProcessError as error:
        raise OSError(errno.EINVAL, f"apparmor_parser: {error.stderr.strip()}") from error
    default_profile.cache_clear()

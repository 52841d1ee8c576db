"""What the local driver mounts: bind, tmpfs, NFS, CIFS or whatever mount(8) knows."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from engine.core.errors import Internal
from engine.kernel.mount import MNT_DETACH, umount2

if TYPE_CHECKING:
    from engine.volumes.model import Volume

# Filesystems that mount(8) leaves to a program of another package.
HELPERS = {
    "nfs": "nfs-common",
    "nfs4": "nfs-common",
    "cifs": "cifs-utils",
    "smb3": "cifs-utils",
    "glusterfs": "glusterfs-client",
    "ceph": "ceph-common",
    "fuse.sshfs": "sshfs",
}
PATIENCE = 60  # seconds
_PLACES = ("/sbin", "/usr/sbin", "/bin", "/usr/bin")


def mount(volume: Volume) -> None:
    """Mount a volume's device on its directory. Raises: Internal(what mount says)."""
    kind, device = volume.options["type"], volume.options["device"]
    words = volume.options.get("o") or ""
    helper = f"mount.{kind}"
    failed = f"error while mounting volume '{volume.mountpoint}': failed to mount local volume: "
    if kind in HELPERS and not any(os.path.exists(f"{place}/{helper}") for place in _PLACES):
        raise Internal(f"{failed}{helper} is missing (package {HELPERS[kind]})")
    command = ["mount", "-t", kind]
    if words:
        command += ["-o", words]
    command += ["--", device, volume.mountpoint]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise Internal(f"{failed}mount {device}: no answer within {PATIENCE} s") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise Internal(f"{failed}mount {device}:{volume.mountpoint}, data: {words}: {said}")


def unmount(directory: str) -> None:
    """Unmount, now or when the last file is closed; what is not mounted is fine."""
    if directory in mounted_below(os.path.dirname(directory)):
        umount2(directory, MNT_DETACH)


def mounted_below(directory: str) -> set[str]:
    """Return the mount points below a directory. Source: proc_pid_mountinfo(5)."""
    found = set()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            # Blanks and the like are written as octal numbers.
            path = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split(" ")[4])
            if path.startswith(directory + "/"):
                found.add(path)
    return found

"""The unprivileged user of the platform's processes, and how they see the tree."""

from __future__ import annotations

import functools
import os
import pwd
import shlex
import shutil
import subprocess
from pathlib import Path

from launcher.instance import PYTHON, TREE, Instance
from launcher.report import LauncherError, run, step

USER = "hythe"

# Opened first, because the cover hides them; /proc/self/fd names them afterwards.
COVER = """
{opens}
mount -n -t tmpfs -o mode=0755,size=1m hythe {cover}
{binds}
cd {tree}
exec "$@"
"""


def ensure_user() -> None:
    """Make the system user and group `hythe` when they are missing."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        with step(f"making the system user {USER}"):
            command = ["useradd", "--system", "--user-group", "--no-create-home"]
            options = ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
            run([*command, *options, USER], what="useradd")


def make_directories(instance: Instance) -> None:
    """Make the instance's directories, each with the owner and mode it must have.

    After: the platform's user can write in its own directories alone, and can put nothing in
           the way of the engine.
    """
    root = os.geteuid() == 0
    shared, own = (0o711, 0o700)
    for path, mode, private in (
        (instance.data, shared, False),
        (instance.run, shared, False),
        (instance.log, 0o750, False),
        (instance.data / "engine", shared, False),
        (instance.data / "platform", own, True),
        (instance.data / "redis", own, True),
        (instance.run / "platform", own, True),
    ):
        if path.name == "engine" and not root:
            continue
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        if root:
            _give(path, USER if private else "root")


def _give(path: Path, user: str) -> None:
    account = pwd.getpwnam(user)
    if path.stat().st_uid == account.pw_uid:
        return
    for directory, _, files in os.walk(path):
        for name in ("", *files):
            target = os.path.join(directory, name) if name else directory
            os.chown(target, account.pw_uid, account.pw_gid, follow_symlinks=False)


def unprivileged(instance: Instance, command: str) -> str:
    """Return the shell command that runs `command` as the platform's user.

    Shape: the process id stays the same through every exec, so a signal reaches the program.
    """
    if os.geteuid() != 0:
        return f"exec {command}" if not command.startswith("exec ") else command
    drop = [
        "setpriv",
        f"--reuid={USER}",
        f"--regid={USER}",
        "--init-groups",
        "--inh-caps=-all",
        *_bounding(),
        "--no-new-privs",
        "sh",
        "-c",
        command,
    ]
    return f"exec {shlex.join([*_cover(instance), *drop])}"


@functools.cache
def _bounding() -> tuple[str, ...]:
    """Drop the bounding set where the kernel lets us (CAP_SETPCAP)."""
    probe = subprocess.run(
        ["setpriv", "--bounding-set=-all", "true"], check=False, capture_output=True
    )
    return ("--bounding-set=-all",) if probe.returncode == 0 else ()


def _cover(instance: Instance) -> list[str]:
    """Return a prefix that makes the tree and the data reachable, or nothing if they are.

    A checkout in a private home (mode 0700) cannot be entered by another user. The home is not
    opened for that: in a mount namespace of their own the platform's processes see an empty
    directory in its place, with nothing in it but the tree, the data and the Python they need.
    """
    needed = [TREE, instance.data, instance.run, Path(os.path.realpath(PYTHON)).parent.parent]
    covers = {hidden for path in needed if (hidden := _first_hidden(path))}
    if not covers:
        return []
    if not shutil.which("unshare"):
        raise LauncherError(f"{', '.join(map(str, covers))} is closed to the user {USER}.")
    script = ""
    for cover in sorted(covers):
        inside = [path for path in dict.fromkeys(needed) if path.is_relative_to(cover)]
        inside = [path for path in inside if not any(_below(path, other) for other in inside)]
        opens, binds = [], []
        for number, path in enumerate(inside, start=3):
            place = shlex.quote(str(path))
            opens.append(f"exec {number}<{place}")
            binds.append(f"mkdir -p {place}")
            # -c: the path behind the descriptor is hidden by now, so it must not be resolved.
            binds.append(f"mount -n -c --bind /proc/self/fd/{number} {place}")
            binds.append(f"exec {number}<&-")
        script += COVER.format(
            opens="\n".join(opens),
            cover=shlex.quote(str(cover)),
            binds="\n".join(binds),
            tree=shlex.quote(str(TREE)),
        ).replace('exec "$@"\n', "")
    script += 'exec "$@"\n'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh"]


def _below(path: Path, other: Path) -> bool:
    return path != other and path.is_relative_to(other)


def _first_hidden(path: Path) -> Path | None:
    """Return the topmost directory of `path` that the user cannot pass through."""
    account = pwd.getpwnam(USER)
    groups = set(os.getgrouplist(USER, account.pw_gid))
    for directory in [*reversed(path.parents), path]:
        try:
            status = directory.stat()
        except FileNotFoundError:
            return None
        if status.st_uid == account.pw_uid:
            allowed = status.st_mode & 0o100
        elif status.st_gid in groups:
            allowed = status.st_mode & 0o010
        else:
            allowed = status.st_mode & 0o001
        if not allowed:
            return directory if directory != path else path
    return None

"""The platform's management commands, run as the platform's user."""

from __future__ import annotations

import shlex
import subprocess
import sys

from launcher import privileges
from launcher.instance import PYTHON, TREE, Instance
from launcher.report import TAIL_LINES, LauncherError, step
from launcher.stamps import fingerprint


def migrate(instance: Instance) -> None:
    """Bring the database up to date when migrations were added since the last time."""
    migrations = sorted((TREE / "platform").glob("*/migrations"))
    value = fingerprint([*migrations, TREE / "requirements.txt"])
    external = instance.environment.get("DATABASE_URL", "")
    present = bool(external) or (instance.data / "platform" / "platform.db").exists()
    if present and instance.recall("migrations") == [value, external]:
        return
    with step("migrating the database"):
        manage(instance, "migrate", "--no-input", "--verbosity", "0")
    instance.remember(migrations=[value, external])


def setup_link(instance: Instance) -> str:
    """Return the one-time link of the first administrator, or nothing when there is one."""
    return manage(instance, "setup_link").strip().rpartition("\n")[2]


def manage(instance: Instance, *arguments: str) -> str:
    """Run a management command and return what it printed.

    Raises: LauncherError(the command failed, with its last lines).
    """
    result = subprocess.run(
        _command(instance, arguments),
        cwd=TREE,
        env=instance.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        lines = (result.stdout + result.stderr).splitlines()[-TAIL_LINES:]
        detail = "\n".join(f"    {line}" for line in lines)
        raise LauncherError(f"manage.py {arguments[0]} failed:\n{detail}")
    return result.stdout


def manage_attached(instance: Instance, *arguments: str) -> int:
    """Run a management command on this terminal's own streams; return its status."""
    sys.stdout.flush()
    command = _command(instance, arguments)
    return subprocess.run(command, cwd=TREE, env=instance.environment, check=False).returncode


def _command(instance: Instance, arguments: tuple[str, ...]) -> list[str]:
    command = f"exec {shlex.join([str(PYTHON), 'manage.py', *arguments])}"
    return ["sh", "-c", privileges.unprivileged(instance, command)]

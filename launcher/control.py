"""`up`, `down` and `status` of an instance."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from launcher import health, packages, privileges
from launcher.admin import migrate, setup_link
from launcher.instance import PYTHON, TREE, Instance
from launcher.prepare import has_frontend, prepare
from launcher.report import TAIL_LINES, LauncherError, say, step

START_SECONDS = 90.0
STOP_SECONDS = 25.0
ATTEMPTS = 3
POLL = 0.05


def up(instance: Instance, *, detach: bool) -> int:
    """Start the instance; in the foreground stay until Ctrl-C.

    After: with `detach`, the instance is healthy (0) or stopped again with the reason told (1).
    """
    if os.geteuid() == 0:
        packages.require(packages.RUNTIME, "The engine")
    prepare(frontend=has_frontend())
    if running(instance):
        return _already(instance)
    make_ready(instance)
    _end_leftovers(instance)
    _require_free_port(instance)
    say(f"  data in {instance.data}")
    manager = _start_manager(instance, detach=detach)
    interrupted = _Interrupt()
    try:
        with step("starting"):
            _wait_healthy(instance, manager, interrupted)
    except LauncherError:
        _end(manager)
        raise
    if not interrupted.came:
        _announce(instance)
    if detach and not interrupted.came:
        return 0
    while manager.poll() is None and not interrupted.came:
        interrupted.wait(1.0)
    return _finish(manager, interrupted)


def make_ready(instance: Instance) -> None:
    """Make the user, the directories and the database as the processes expect them."""
    if os.geteuid() == 0:
        privileges.ensure_user()
    try:
        privileges.make_directories(instance)
    except PermissionError as error:
        raise LauncherError(f"{error.filename} cannot be written by this user.") from error
    migrate(instance)


def down(instance: Instance) -> int:
    """Stop the instance and leave its containers running."""
    state = instance.read_state()
    if not running(instance):
        if not _end_leftovers(instance):
            say("  not running")
        return 0
    with step("stopping (containers keep running)"):
        _signal(state["pid"], signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while running(instance):
            if time.monotonic() > deadline:
                _signal(state["pid"], signal.SIGKILL)
                _end_all(list(state["processes"].values()))
                break
            time.sleep(POLL)
    return 0


def status(instance: Instance) -> int:
    """Print what runs. Returns 0 when all answers, 1 when something does not, 3 when stopped."""
    if not running(instance):
        say(f"Hythe is not running (data in {instance.data}).")
        return 3
    state = instance.read_state()
    where = Instance(instance.data, instance.run, state["host"], state["port"])
    report = health.web_health(where)
    say(f"Hythe      {where.url}")
    say(f"data       {where.data}")
    say(f"engine     unix://{where.engine_socket}")
    healthy = bool(report)
    for name, entry in state["processes"].items():
        if entry["pid"]:
            age = _age(time.time() - entry["started"])
            again = f", started again {entry['restarts']} times" if entry["restarts"] else ""
            say(f"{name:<10} running, pid {entry['pid']}, {age}{again}")
        elif entry["code"] is None:
            say(f"{name:<10} starting")
        else:
            healthy = False
            say(f"{name:<10} down, ended with {entry['code']}; see {where.log / name}.log")
    if "engine" in state["processes"]:
        info = health.engine_info(where)
        healthy = healthy and bool(info)
        if info:
            counts = f"{info.get('ContainersRunning', 0)} running of {info.get('Containers', 0)}"
            say(f"containers {counts}, {info.get('Images', 0)} images")
        else:
            say("containers unknown: the engine does not answer")
    else:
        say("containers none: the engine needs root, the platform runs without it")
    if not report:
        say("web        does not answer")
    return 0 if healthy else 1


def running(instance: Instance) -> bool:
    """Tell whether a manager holds the instance."""
    try:
        descriptor = os.open(instance.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise LauncherError(f"{instance.run} belongs to another user.") from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class _Interrupt:
    """Ctrl-C and SIGTERM as something to wait for."""

    def __init__(self) -> None:
        self.came = False
        self._read, self._write = os.pipe()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    def _take(self, *_: object) -> None:
        self.came = True
        os.write(self._write, b"!")

    def wait(self, seconds: float) -> None:
        """Return when a signal came or the time is over."""
        select.select([self._read], [], [], seconds)


def _start_manager(instance: Instance, *, detach: bool) -> subprocess.Popen[bytes]:
    where = "background" if detach else "terminal"
    arguments = [str(instance.data), instance.host, str(instance.port), where]
    output: Any = None
    if detach:
        output = (instance.log / "manager.log").open("ab")
    return subprocess.Popen(
        [str(PYTHON), "-m", "launcher.manager", *arguments],
        cwd=TREE,
        env=instance.environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if detach else None,
        # Ctrl-C reaches this process alone, which then stops the manager in order.
        start_new_session=True,
    )


def _wait_healthy(
    instance: Instance, manager: subprocess.Popen[bytes], interrupted: _Interrupt
) -> None:
    deadline = time.monotonic() + START_SECONDS
    with_engine = os.geteuid() == 0
    while not interrupted.came:
        engine = not with_engine or health.engine_answers(instance)
        report = health.web_health(instance) if engine else {}
        if engine and report.get("database") and report.get("redis"):
            return
        _fail_on_exits(instance, manager)
        if time.monotonic() > deadline:
            name = "web" if engine else "engine"
            raise LauncherError(
                f"{name} did not answer within {START_SECONDS:.0f} s.\n{_tail(instance, name)}"
            )
        interrupted.wait(POLL)


def _fail_on_exits(instance: Instance, manager: subprocess.Popen[bytes]) -> None:
    if manager.poll() is not None:
        raise LauncherError(f"The manager ended by itself.\n{_tail(instance, 'manager')}")
    processes = instance.read_state().get("processes", {})
    for name, entry in processes.items():
        # Redis is waited for by the others, so an exit of theirs may heal by itself.
        if entry["restarts"] >= ATTEMPTS:
            raise LauncherError(
                f"{name} ended with {entry['code']}, {entry['restarts']} times.\n"
                f"{_tail(instance, name)}"
            )


def _tail(instance: Instance, name: str) -> str:
    path = instance.log / f"{name}.log"
    try:
        lines = path.read_bytes().decode(errors="replace").splitlines()[-TAIL_LINES:]
    except FileNotFoundError:
        return f"    (no log at {path})"
    return "\n".join([f"  last lines of {path}:", *(f"    {line}" for line in lines)])


def _announce(instance: Instance) -> None:
    say(f"\n  Hythe is ready at {instance.url}")
    if os.geteuid() == 0:
        say(f"  docker -H unix://{instance.engine_socket} ps")
    else:
        say("  The engine needs root and is not running; remote engines can be managed.")
    if health.session(instance).get("setup_required"):
        link = setup_link(instance)
        if link:
            say("\n  Make the first administrator with this link, which works once:")
            say(f"  {link if link.startswith('http') else instance.url + link}")
    say()


def _already(instance: Instance) -> int:
    state = instance.read_state()
    where = Instance(instance.data, instance.run, state.get("host", ""), state.get("port", 0))
    if not health.web_health(where):
        raise LauncherError(f"Already started with this data, but not answering at {where.url}.")
    say(f"  already running at {where.url}")
    return 0


def _end_leftovers(instance: Instance) -> bool:
    """End the processes of a manager that was killed; tell whether there were any."""
    processes = instance.read_state().get("processes", {})
    left = [entry for entry in processes.values() if _alive(entry)]
    if left:
        with step("stopping what a killed manager left behind"):
            _end_all(left)
    instance.state_file.unlink(missing_ok=True)
    return bool(left)


def _require_free_port(instance: Instance) -> None:
    family = socket.AF_INET6 if ":" in instance.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((instance.host, instance.port))
        except OSError as error:
            raise LauncherError(
                f"Cannot listen on {instance.host}:{instance.port}: {error.strerror}. "
                "Choose another --port or --host."
            ) from error


def _finish(manager: subprocess.Popen[bytes], interrupted: _Interrupt) -> int:
    if not interrupted.came:
        raise LauncherError(f"The manager ended with {manager.returncode}.")
    with step("stopping (containers keep running)"):
        _end(manager)
    return 0


def _end(manager: subprocess.Popen[bytes]) -> None:
    manager.terminate()
    try:
        manager.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        manager.kill()
        manager.wait()


def _alive(entry: dict[str, Any]) -> bool:
    pid = entry.get("pid")
    if not pid:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[19] == entry.get("identity")


def _end_all(entries: list[dict[str, Any]]) -> None:
    for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        for entry in entries:
            if _alive(entry):
                _signal(entry["pid"], number)
        deadline = time.monotonic() + patience
        while any(_alive(entry) for entry in entries) and time.monotonic() < deadline:
            time.sleep(POLL)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise LauncherError("This instance was started by another user.") from error


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def engine(instance: Instance) -> int:
    """Run the engine alone, in the foreground."""
    if os.geteuid() != 0:
        raise LauncherError("The engine needs root: it makes namespaces, mounts and interfaces.")
    packages.require(packages.RUNTIME, "The engine")
    prepare(frontend=False)
    privileges.ensure_user()
    privileges.make_directories(instance)
    sys.stdout.flush()
    os.chdir(TREE)
    os.execve(PYTHON, [str(PYTHON), "-m", "engine"], instance.environment)

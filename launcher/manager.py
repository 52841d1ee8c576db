"""The manager: runs the Procfile under honcho, keeps it running, writes its logs.

Started by `up` with the Python of .venv; the only module of the launcher outside the standard
library. A process that ends by itself is started again after a pause that grows while it keeps
failing; the others keep running meanwhile.
"""

from __future__ import annotations

import fcntl
import heapq
import multiprocessing
import os
import queue
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message, Printer

from launcher import privileges
from launcher.instance import TREE, Instance, write_json

PRIVILEGED = {"engine"}
# Serving comes first; on few cores the imports of the rest would only delay it.
FIRST = ("engine", "redis", "web")
PAUSE_FIRST, PAUSE_MAX, STEADY = 0.5, 30.0, 60.0
STOP_SECONDS = 15.0
LOG_BYTES, LOG_KEPT = 10 * 1024 * 1024, 3


class LogFile:
    """One process's log, renamed to .1, .2, … when it has grown large."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def write(self, data: bytes) -> None:
        """Append a line."""
        if self._size + len(data) > LOG_BYTES:
            self._rotate()
        self._file.write(data)
        self._size += len(data)

    def _open(self) -> None:
        self._file = self._path.open("ab", buffering=0)
        self._size = self._file.tell()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(LOG_KEPT - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number + 1}"))
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._open()


class LogPrinter(Printer):  # type: ignore[misc]  # honcho carries no types
    """Writes every line to the log of its process, and to the terminal when there is one."""

    def __init__(self, directory: Path, terminal: TextIO | None) -> None:
        super().__init__(terminal or sys.stdout)
        self._directory = directory
        self._terminal = terminal
        self._logs: dict[str, LogFile] = {}

    def write(self, message: Message) -> None:
        """Take one line of a process, or of the manager itself."""
        if message.name not in self._logs:
            self._logs[message.name] = LogFile(self._directory / f"{message.name}.log")
        data = message.data
        self._logs[message.name].write(data if isinstance(data, bytes) else data.encode())
        if self._terminal:
            super().write(message)


class PidManager:
    """Signals one process, not its group: what the engine started lives on without it."""

    def terminate(self, pid: int) -> None:
        """Ask the process to end."""
        self._send(pid, signal.SIGTERM)

    def kill(self, pid: int) -> None:
        """End the process."""
        self._send(pid, signal.SIGKILL)

    @staticmethod
    def _send(pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


class Supervisor(Manager):  # type: ignore[misc]  # honcho carries no types
    """honcho's manager, with restarts in place of "one ends, all end"."""

    def __init__(self, instance: Instance, terminal: TextIO | None) -> None:
        super().__init__(LogPrinter(instance.log, terminal))
        self._instance = instance
        self._procmgr = PidManager()
        self._due: list[tuple[float, str]] = []
        self._running: set[str] = set()
        self._history: dict[str, dict[str, Any]] = {}

    def add_procfile(self) -> None:
        """Take the processes of the Procfile; without root the engine is left out."""
        self._printer.width = max(self._printer.width, 8)
        for name, command in parse_procfile((TREE / "Procfile").read_text()).processes.items():
            if name in PRIVILEGED and os.geteuid() != 0:
                continue
            if name not in PRIVILEGED:
                command = privileges.unprivileged(self._instance, command)
            environment = self._instance.environment
            self.add_process(name, command, env=environment, cwd=str(TREE))
            self._history[name] = {"pid": None, "restarts": 0, "code": None, "pause": PAUSE_FIRST}

    def loop(self) -> None:
        """Run until SIGTERM or SIGINT; return when every process has ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        now = time.monotonic()
        for name in self._processes:
            delay = 0.0 if name in FIRST else self._delay_of_the_rest()
            heapq.heappush(self._due, (now + delay, name))
        asked: float | None = None
        killed = False
        while True:
            if self._terminating and asked is None:
                asked = time.monotonic()
            if asked is None:
                self._start_due()
            elif not self._running:
                break
            elif not killed and time.monotonic() - asked > STOP_SECONDS:
                killed = True
                self.kill()
            self._take_event()
        self._save()

    def _delay_of_the_rest(self) -> float:
        return 0.0 if (os.cpu_count() or 1) > 4 else 2.5

    def _stop(self, *_: object) -> None:
        self.terminate()

    def _start_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            name = heapq.heappop(self._due)[1]
            entry = self._processes[name]
            entry.pop("returncode", None)
            runner = multiprocessing.Process(
                name=name, target=entry["obj"].run, args=(self.events, True), daemon=True
            )
            # honcho's reader must not die of a Ctrl-C that is meant for the manager.
            runner.start()
            entry["process"] = runner
            self._running.add(name)

    def _take_event(self) -> None:
        wait = 0.2
        if self._due and not self._terminating:
            wait = min(wait, max(0.0, self._due[0][0] - time.monotonic()))
        try:
            message = self.events.get(timeout=wait)
        except queue.Empty:
            return
        if message.type == "line":
            self._printer.write(message)
        elif message.type == "start":
            self._started(message.name, message.data["pid"])
        else:
            self._ended(message.name, message.data["returncode"])

    def _started(self, name: str, pid: int) -> None:
        self._processes[name]["pid"] = pid
        self._history[name] |= {"pid": pid, "started": time.time(), "identity": identity(pid)}
        self._system_print(f"{name} started (pid {pid})\n")
        if self._terminating:
            self._procmgr.terminate(pid)
        self._save()

    def _ended(self, name: str, code: int) -> None:
        self._running.discard(name)
        self._processes[name]["returncode"] = code
        self._processes[name]["process"].join()
        past = self._history[name]
        past |= {"pid": None, "code": code}
        if self._terminating:
            self._system_print(f"{name} stopped\n")
        else:
            if time.time() - past.get("started", 0) > STEADY:
                past["pause"] = PAUSE_FIRST
            pause = past["pause"]
            past["pause"] = min(pause * 2, PAUSE_MAX)
            past["restarts"] += 1
            self._system_print(f"{name} ended with {code}, starting it again in {pause:g} s\n")
            heapq.heappush(self._due, (time.monotonic() + pause, name))
        self._save()

    def _killall(self, force: bool = False) -> None:
        for name in self._running:
            pid = self._processes[name].get("pid")
            if pid and "returncode" not in self._processes[name]:
                (self._procmgr.kill if force else self._procmgr.terminate)(pid)

    def _save(self) -> None:
        write_json(
            self._instance.state_file,
            {
                "pid": os.getpid(),
                "identity": identity(os.getpid()),
                "host": self._instance.host,
                "port": self._instance.port,
                "processes": self._history,
            },
        )


def identity(pid: int) -> str:
    """Return what tells this process from a later one with the same id. Source: proc(5), stat."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[19]


def main(data: str, host: str, port: str, where: str) -> int:
    """Run the instance until told to stop; `where` is "terminal" or "background"."""
    multiprocessing.set_start_method("fork")
    instance = Instance.at(data, host, int(port))
    lock = os.open(instance.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # A record lock: unlike flock(2)'s, honcho's forked readers do not keep it alive.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 3
    supervisor = Supervisor(instance, sys.stdout if where == "terminal" else None)
    supervisor.add_procfile()
    supervisor.loop()
    instance.state_file.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The daemon's side of running containers: one spawner, and a connection to every supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.core.errors import Internal, StartFailed
from engine.core.trees import discard_tree
from engine.kernel import apparmor, cgroups
from engine.kernel.process import held_capabilities
from engine.runtime.stats import CgroupStats, read_stats
from engine.supervisor import wire
from engine.supervisor.spec import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from engine.config import Settings
    from engine.supervisor.spec import ContainerSpec, InterfaceSpec, ProcessSpec, ResourceSpec

KILLED = 128 + int(signal.SIGKILL)


@dataclass(frozen=True)
class Attachment:
    """A stream socket to hand to a process, and which streams it carries."""

    sock: socket.socket
    stdin: bool = True
    stdout: bool = True
    stderr: bool = True
    detach_keys: bytes = b""  # typed one after another on a terminal, they end the attachment
    framed: bool = True  # whether output without a terminal says which stream it is of

    def wish(self) -> dict[str, Any]:
        """Return the streams as the supervisor reads them."""
        return {
            "stdin": self.stdin,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "detach_keys": self.detach_keys.decode("latin-1"),
            "framed": self.framed,
        }


@dataclass(frozen=True)
class ExitStatus:
    """How a container ended; `code` is 128 + signal when a signal ended it."""

    code: int
    oom_killed: bool
    finished_at: datetime
    error: str = ""


def _moment(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


class _Gone(Internal):
    """The supervisor has ended, and with it its container."""

    def __init__(self) -> None:
        super().__init__("the container's supervisor is gone")


class Connection:
    """One packet connection to a supervisor: requests with answers, and events."""

    def __init__(
        self, sock: socket.socket, on_event: Callable[[dict[str, Any] | None], None]
    ) -> None:
        self._sock = sock
        self._on_event = on_event
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._readable)

    async def request(self, op: str, *sockets: socket.socket, **fields: object) -> dict[str, Any]:
        """Send one request and return its answer. Raises StartFailed, Internal(supervisor gone)."""
        if self._sock.fileno() < 0:
            raise _Gone
        self._number += 1
        number = self._number
        answer: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._answers[number] = answer
        try:
            message = {"op": op, "id": number, **fields}
            wire.send(self._sock, message, tuple(sock.fileno() for sock in sockets))
            return _checked(await answer, of_exec=op == "exec")
        except OSError as error:
            raise _Gone from error
        finally:
            self._answers.pop(number, None)

    def _readable(self) -> None:
        # All that is there: a client that saw its stream end asks for a code that was told before.
        while self._sock.fileno() >= 0:
            try:
                received = wire.receive(self._sock)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self.close()
                for answer in self._answers.values():
                    if not answer.done():
                        answer.set_exception(_Gone())
                self._on_event(None)
                return
            message, fds = received
            message["fds"] = fds
            waiting = self._answers.get(message.get("reply") or 0)
            if waiting and not waiting.done():
                waiting.set_result(message)
            elif "event" in message:
                self._on_event(message)

    def close(self) -> None:
        """Let go of the supervisor; the container is not touched."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()


def _checked(answer: dict[str, Any], *, of_exec: bool = False) -> dict[str, Any]:
    if "error" not in answer:
        return answer
    raise StartFailed.because(answer["kind"], answer["error"], of_exec=of_exec)


class RunningExec:
    """A process that was started in a running container beside its first one."""

    def __init__(self, container: RunningContainer, exec_id: str, pid: int) -> None:
        self._container = container
        self.id = exec_id
        self.pid = pid
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        """Return the exit code once there is one."""
        return await asyncio.shield(self.exited)

    async def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        await self._container.request("resize", exec=self.id, rows=rows, columns=columns)

    async def kill(self, number: int) -> None:
        """Send it a signal; one that has ended is fine."""
        with contextlib.suppress(_Gone):
            await self._container.request("kill", exec=self.id, signal=number)


class RunningContainer:
    """A running container, seen through its supervisor."""

    def __init__(
        self, runtime: Runtime, container_id: str, cgroup: str, pid: int, started_ns: int
    ) -> None:
        self._runtime = runtime
        self.id = container_id
        self.cgroup = cgroups.Cgroup(cgroup)
        self.pid = pid
        self.started_at = _moment(started_ns)
        self.exited: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        # Called with an exec's ID, or None, when a client detached by its keys.
        self.on_detach: Callable[[str | None], None] = lambda _exec_id: None
        self._execs: dict[str, RunningExec] = {}
        self.resolver: list[socket.socket] = []  # where it asks for names: UDP, TCP
        self._connection: Connection

    def connect(self, sock: socket.socket) -> None:
        """Take over the connection to the supervisor."""
        self._connection = Connection(sock, self._on_event)

    def _on_event(self, message: dict[str, Any] | None) -> None:
        if message is None:
            for sock in self.resolver:
                sock.close()
            self._connection.close()
            for running in self._execs.values():
                if not running.exited.done():
                    running.exited.set_result(KILLED)
            if not self.exited.done():
                self.exited.set_result(self._runtime.exit_of(self.id, self.cgroup))
        elif message["event"] == "exec_exit":
            running_exec = self._execs.pop(message["exec"], None)
            if running_exec and not running_exec.exited.done():
                running_exec.exited.set_result(message["code"])
        elif message["event"] == "detach":
            self.on_detach(message["exec"])
        elif message["event"] == "exit" and not self.exited.done():
            self.exited.set_result(_exit_status(message))

    async def request(self, op: str, *sockets: socket.socket, **fields: object) -> dict[str, Any]:
        """Ask the supervisor."""
        return await self._connection.request(op, *sockets, **fields)

    async def wait(self) -> ExitStatus:
        """Return how it ended, once it has; any number may wait."""
        return await asyncio.shield(self.exited)

    async def kill(self, number: int) -> None:
        """Send a signal to the container's first process; one that has ended is fine."""
        with contextlib.suppress(_Gone):
            await self.request("kill", exec=None, signal=number)

    async def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        await self.request("resize", exec=None, rows=rows, columns=columns)

    async def attach(self, attachment: Attachment) -> None:
        """Hand a connected stream socket to the supervisor."""
        await self.request("attach", attachment.sock, **attachment.wish())

    async def exec(
        self,
        exec_id: str,
        process: ProcessSpec,
        attachments: Sequence[Attachment] = (),
        *,
        privileged: bool = False,
    ) -> RunningExec:
        """Start another process in the container. Raises StartFailed(126/127 words)."""
        running = RunningExec(self, exec_id, 0)
        self._execs[exec_id] = running
        try:
            answer = await self.request(
                "exec",
                *(item.sock for item in attachments),
                exec=exec_id,
                process=to_json(process),
                attachments=[item.wish() for item in attachments],
                privileged=privileged,
            )
        except BaseException:
            self._execs.pop(exec_id, None)
            raise
        running.pid = answer["pid"]
        return running

    async def plug(
        self, interface: InterfaceSpec, routes: dict[str, tuple[str, str] | None]
    ) -> None:
        """Give it one more interface, and the default routes that it then has.

        `routes` has under "4" and "6" (interface, gateway), or None for none. Raises: StartFailed.
        """
        await self.request("plug", interface=to_json(interface), routes=routes)

    async def unplug(
        self, name: str, host_name: str, routes: dict[str, tuple[str, str] | None]
    ) -> None:
        """Take an interface away; `host_name` is its far end, "" for none. Raises: StartFailed."""
        await self.request("unplug", name=name, host_name=host_name, routes=routes)

    async def open_resolver(self, address: str) -> None:
        """Have the sockets at which it asks for names, made when it has none yet."""
        if not self.resolver:
            answer = await self.request("resolver", address=address)
            self.resolver = [socket.socket(fileno=fd) for fd in answer["fds"]]

    async def pause(self) -> None:
        """Freeze every process of the container."""
        await self.request("freeze", frozen=True)

    async def unpause(self) -> None:
        """Let a frozen container go on."""
        await self.request("freeze", frozen=False)

    async def update(self, resources: ResourceSpec) -> None:
        """Change limits while it runs."""
        await self.request("update", resources=resources.__dict__)

    def stats(self) -> CgroupStats:
        """Return the container's figures as the kernel counts them now."""
        return read_stats(self.cgroup, self.pid)

    def pids(self) -> list[int]:
        """Return the host's numbers of the container's processes."""
        return self.cgroup.processes()


def _exit_status(document: dict[str, Any]) -> ExitStatus:
    moment = _moment(document["finished_at_ns"])
    return ExitStatus(document["code"], document["oom_killed"], moment)


class Runtime:
    """Starts containers and finds those that an earlier daemon started."""

    def __init__(self, settings: Settings, filters: Sequence[Sequence[str]] = ()) -> None:
        """`filters` are capability sets whose seccomp program the spawner compiles ahead."""
        self._settings = settings
        self._filters = [list(names) for names in filters]
        self._spawner: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self.warnings: list[str] = []

    @property
    def _states(self) -> Path:
        return self._settings.run / "containers"

    @property
    def scratch(self) -> Path:
        """Return the empty directory on which roots are mounted, each in its own namespace."""
        return self._settings.run / "rootfs"

    @property
    def group(self) -> str:
        """Return the group that holds all containers which name no other."""
        return self._settings.cgroup_parent

    def cgroup_of(self, container_id: str, parent: str) -> str:
        """Return the name of a container's group; `parent` is Docker's CgroupParent or ""."""
        return f"{parent.strip('/') or self.group}/{container_id}"

    async def open(self) -> None:
        """Prepare directories and cgroups, and start the spawner."""
        self._states.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.scratch.mkdir(exist_ok=True, mode=0o700)
        self.warnings = cgroups.prepare_parent(self._settings.cgroup_parent)
        if "CAP_SYS_RESOURCE" not in held_capabilities():
            self.warnings.append("No CAP_SYS_RESOURCE: limits above the engine's own are cut to it")
        if apparmor.is_enabled():
            try:
                await asyncio.to_thread(apparmor.load_default)
            except OSError as error:
                self.warnings.append(f"No AppArmor profile for containers: {error.strerror}")
        await self._spawn()

    async def _spawn(self) -> None:
        ours, theirs = wire.pair()
        self._spawner = subprocess.Popen(  # noqa: ASYNC220 - vfork; the daemon's only child
            [sys.executable, "-m", "engine.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env={**os.environ, "HYTHE_SPAWNER_FD": str(theirs.fileno())},
            start_new_session=True,
        )
        theirs.close()
        wire.send(ours, {"filters": self._filters})
        ours.setblocking(False)
        answer = await asyncio.get_running_loop().sock_recv(ours, 4096)
        if not answer:
            raise Internal("the spawner did not start")
        self._channel = ours

    async def close(self) -> None:
        """Stop the spawner; containers and their supervisors stay."""
        if self._channel:
            self._channel.close()
        if self._spawner:
            await asyncio.to_thread(self._spawner.wait)

    async def start(
        self, spec: ContainerSpec, attachments: Sequence[Attachment] = ()
    ) -> RunningContainer:
        """Run a container; returns once the user's program has been executed.

        Raises: StartFailed, after which nothing is left but the empty state directory's absence.
        """
        directory = self._states / spec.id
        discard_tree(directory)
        directory.mkdir(mode=0o700)
        if (parent := os.path.dirname(spec.cgroup)) != self.group:
            cgroups.prepare_parent(parent)
        ours, theirs = wire.pair()
        try:
            message = {
                "spec": to_json(spec),
                "scratch": str(self.scratch),
                "attachments": [item.wish() for item in attachments],
            }
            wire.send(ours, message, tuple(item.sock.fileno() for item in attachments))
            await self._ask_spawner(str(directory), theirs)
            theirs.close()
            answer = _checked(await _first_answer(ours))
        except BaseException:
            ours.close()
            theirs.close()
            # A supervisor that was killed before it answered has not cleaned up.
            await asyncio.to_thread(_sweep, cgroups.Cgroup(spec.cgroup))
            await asyncio.to_thread(discard_tree, directory)
            raise
        running = RunningContainer(
            self, spec.id, spec.cgroup, answer["pid"], answer["started_at_ns"]
        )
        running.resolver = [socket.socket(fileno=fd) for fd in answer["fds"]]
        running.connect(ours)
        return running

    async def _ask_spawner(self, directory: str, control: socket.socket) -> None:
        for last in (False, True):
            try:
                if self._channel is None:
                    await self._spawn()
                wire.send(_present(self._channel), {"directory": directory}, (control.fileno(),))
                return
            except OSError:
                # A killed spawner is started again; the containers never depended on it.
                if last:
                    raise
                if self._channel:
                    self._channel.close()
                if self._spawner:
                    await asyncio.to_thread(self._spawner.wait)
                self._channel = None

    async def adopt(self, container_id: str, cgroup: str) -> RunningContainer | ExitStatus | None:
        """Find a container that was running when the daemon went away.

        After: a supervisor that is gone too has left no process and no group of the container.
        """
        directory = self._states / container_id
        group = cgroups.Cgroup(cgroup)
        try:
            document = json.loads((directory / "running.json").read_text())
        except FileNotFoundError:
            _sweep(group)
            return self.exit_of(container_id, group) if (directory / "exit.json").exists() else None
        try:
            sock = _connect(directory)
        except OSError:
            return self.exit_of(container_id, group)
        running = RunningContainer(
            self, container_id, cgroup, document["pid"], document["started_at_ns"]
        )
        running.connect(sock)
        return running

    def exit_of(self, container_id: str, group: cgroups.Cgroup) -> ExitStatus:
        """Return the recorded end; a supervisor that left none was killed, and all with it."""
        try:
            text = (self._states / container_id / "exit.json").read_text()
        except FileNotFoundError:
            _sweep(group)
            return ExitStatus(KILLED, oom_killed=False, finished_at=datetime.now(UTC))
        _sweep(group)
        return _exit_status(json.loads(text))

    async def undo(self, container_id: str, cgroup: str) -> None:
        """End what a start left that nobody waits for any more; mostly there is nothing."""
        if not (self._states / container_id).exists():
            return
        found = await self.adopt(container_id, cgroup)
        if isinstance(found, RunningContainer):
            found.cgroup.kill()
            await found.wait()
        await self.forget(container_id)

    def sweep(self, kept: Collection[str]) -> None:
        """Remove what an earlier daemon left of containers that do not exist any more."""
        for directory in self._states.iterdir():
            if directory.name not in kept:
                _sweep(cgroups.Cgroup(self.cgroup_of(directory.name, "")))
                discard_tree(directory)

    async def forget(self, container_id: str) -> None:
        """Remove what is kept about a container that does not run."""
        await asyncio.to_thread(discard_tree, self._states / container_id)


def _sweep(group: cgroups.Cgroup) -> None:
    group.kill()
    group.remove_when_empty()


def _present(channel: socket.socket | None) -> socket.socket:
    if channel is None:
        raise Internal("the spawner is not running")
    return channel


async def _first_answer(sock: socket.socket) -> dict[str, Any]:
    """Return the supervisor's first word, with the descriptors it sent as "fds"."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    sock.setblocking(False)

    def is_there() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock.fileno(), is_there)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())
    received = wire.receive(sock)
    if received is None:
        raise Internal("the container's supervisor ended before the container was started")
    return {**received[0], "fds": received[1]}


def _connect(directory: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    fd = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    try:
        # Through the descriptor, for the path may be longer than a socket address.
        sock.connect(f"/proc/self/fd/{fd}/control.sock")
    except OSError:
        sock.close()
        raise
    finally:
        os.close(fd)
    wire.allow_large(sock)
    return sock

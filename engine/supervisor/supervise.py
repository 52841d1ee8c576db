"""One container's supervisor: makes the container, then stays beside it until it ends.

It joins nothing of the container's. It owns the container's stdio, log, exit status and control
socket, so the daemon may come and go.

Shape: <run>/containers/<id>/{control.sock, running.json, exit.json, supervisor.log}
       running.json: {"pid", "started_at_ns", "supervisor"}; exit.json: {"code", "oom_killed",
       "finished_at_ns", "started_at_ns", "error"}, written whole before the connections close.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
import termios
import time
import traceback
from typing import TYPE_CHECKING, Any

from engine.kernel import namespaces, netlink, process, seccomp
from engine.kernel.cgroups import Cgroup
from engine.supervisor import init, limits, wire
from engine.supervisor.log import LogWriter
from engine.supervisor.spec import (
    ResourceSpec,
    container_from_json,
    interface_from_json,
    process_from_json,
)
from engine.supervisor.stdio import Loop, Stdio

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.supervisor.spec import ContainerSpec, InterfaceSpec, ProcessSpec

    Reply = Callable[..., None]  # an answer or what stopped it, and descriptors to send along


MOST_TREES = 250  # descriptors that one message may carry
LONGEST_START = 120  # seconds
LONGEST_ERROR = 2000  # characters


class Child:
    """A process of the container that this supervisor waits for: its init, or an exec."""

    def __init__(self, pid: int, pidfd: int, stdio: Stdio, master: int | None) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.stdio = stdio
        self.master = master


class Supervisor:
    """Everything one supervisor knows."""

    def __init__(self, control: socket.socket, directory: str, filters: dict[str, bytes]) -> None:
        self._control = control
        self._directory = directory
        self._filters = filters
        self._loop = Loop()
        self._connections: dict[int, socket.socket] = {}
        self._execs: dict[str, Child] = {}
        self._held = process.held_capabilities()
        self._started_ns = 0
        self._resolver: list[int] = []  # kept for daemons to come
        self._init: Child
        self._listener: socket.socket
        self._spec: ContainerSpec
        self._cgroup: Cgroup

    def run(self) -> None:
        """Start the container, answer on the control socket, and stay until it ends."""
        received = wire.receive(self._control, most_fds=MOST_TREES)
        if received is None:
            return
        message, fds = received
        self._spec = container_from_json(message["spec"])
        process.set_name(f"hythe {self._spec.id[:9]}")
        self._cgroup = Cgroup(self._spec.cgroup)
        try:
            self._start(message, fds)
            self._save("running.json", {"pid": self._init.pid, "started_at_ns": self._started_ns})
        except Exception as error:  # noqa: BLE001 - the client is told, whatever it was
            self._give_up(_told(error))
            return
        answer = {"pid": self._init.pid, "started_at_ns": self._started_ns}
        self._connect(self._control)
        try:
            wire.send(self._control, answer, tuple(self._resolver))
        except OSError:
            # A daemon that went away before it knew of the start cannot own it.
            self._cgroup.kill()
        self._stay()

    def _give_up(self, answer: dict[str, Any]) -> None:
        self._cgroup.kill()
        self._reap_children()
        self._cgroup.remove_when_empty()
        with contextlib.suppress(OSError):
            wire.send(self._control, answer)

    def _reap_children(self) -> None:
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

    # start

    def _start(self, message: dict[str, Any], fds: list[int]) -> None:
        spec = self._spec
        self._listen()
        self._cgroup.create()
        limits.apply_resources(self._cgroup, spec.resources)
        if not spec.privileged:
            limits.apply_devices(self._cgroup, spec.resources.devices)
        log = None
        if spec.log_path:
            log = LogWriter(
                spec.log_path,
                spec.log_max_size,
                spec.log_max_files,
                compress=spec.log_compress,
                attributes=spec.log_attributes,
            )
        program = self._filter(spec.process, spec.privileged)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        streams = _Streams(spec.process)
        flags = sum(
            namespaces.KINDS[kind]
            for kind in ("mount", "pid", "net", "ipc", "uts")
            if spec.namespaces.get(kind, "private") == "private" or kind == "mount"
        )
        if spec.id_map:
            flags |= namespaces.CLONE_NEWUSER
            streams.give_to(spec.id_map[0])
        unified = self._cgroup.open_unified()
        if (path := spec.namespaces.get("pid", "private")).startswith("/"):
            namespaces.join_path(path, namespaces.CLONE_NEWPID)
        pid, pidfd = namespaces.clone3(flags, unified)
        if pid == 0:
            ours.close()
            if unified is not None:
                os.close(unified)
            _child(theirs, lambda: self._become_init(spec, theirs, streams, program, message))
        theirs.close()
        streams.close_far()
        if unified is not None:
            os.close(unified)
        try:
            self._cgroup.add_v1(pid)
            if spec.interfaces:
                make_interfaces(spec.interfaces, pid)
            if spec.id_map:
                namespaces.write_id_maps(pid, *spec.id_map)
                self._gather(spec, message["scratch"], pid, ours)
            else:
                wire.send(ours, {"go": True})
            master = self._await_start(ours, terminal=spec.process.terminal)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                namespaces.pidfd_send_signal(pidfd, signal.SIGKILL)
            raise
        finally:
            ours.close()
        self._started_ns = time.time_ns()
        stdio = streams.pump(self._loop, master, log, stdin_once=spec.process.stdin_once)
        self._init = Child(pid, pidfd, stdio, master)
        for fd, wish in zip(fds, message["attachments"], strict=True):
            self._attach(stdio, fd, wish, None)
        self._loop.watch(pidfd, select.EPOLLIN, lambda _events: self._init_ended())

    def _gather(self, spec: ContainerSpec, scratch: str, pid: int, channel: socket.socket) -> None:
        """Send the child the mounts that it has not the right to make, and so tell it to go."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        helper = os.fork()
        if helper == 0:
            near.close()

            def work() -> None:
                namespaces.unshare(namespaces.CLONE_NEWNS)
                userns = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
                trees = init.gather(spec, scratch, userns)
                wire.send(channel, {"go": True}, tuple(trees))
                os._exit(0)

            _child(far, work)
        far.close()
        received = wire.receive(near)
        near.close()
        os.waitpid(helper, 0)
        if received is not None:
            raise init.Failure(received[0]["kind"], received[0]["error"])

    def _listen(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        # The directory's own path may be longer than the 108 bytes a socket address can hold.
        directory = os.open(self._directory, os.O_PATH | os.O_CLOEXEC)
        self._listener.bind(f"/proc/self/fd/{directory}/control.sock")
        os.close(directory)
        os.chmod(f"{self._directory}/control.sock", 0o600)
        self._listener.listen(16)
        self._loop.watch(self._listener.fileno(), select.EPOLLIN, lambda _events: self._accept())

    def _await_start(self, channel: socket.socket, *, terminal: bool) -> int | None:
        """Wait until the first process' exec closed the channel; return its terminal's master.

        Raises: Failure(what the child reported).
        """
        master = None
        waiting = select.poll()
        waiting.register(channel.fileno(), select.POLLIN)
        while True:
            # Who shares its pid namespace could have stopped it for good.
            if not waiting.poll(LONGEST_START * 1000):
                raise init.Failure("other", f"it did not start within {LONGEST_START} s")
            received = wire.receive(channel)
            if received is None:
                if terminal and master is None:
                    raise init.Failure("other", "the process ended before it was started")
                return master
            message, fds = received
            if "error" in message:
                if master is not None:
                    os.close(master)
                raise init.Failure(message["kind"], message["error"])
            if "resolver" in message:
                self._resolver = fds
            else:
                master = fds[0]

    def _in_network(self, body: Callable[[], tuple[int, ...]]) -> list[int]:
        """Run `body` in the container's network; return the descriptors that it made.

        Raises: Failure(what stopped it).
        """
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        helper = os.fork()
        if helper == 0:
            near.close()

            def work() -> None:
                flags = namespaces.CLONE_NEWNET
                if self._spec.id_map:
                    flags |= namespaces.CLONE_NEWUSER
                namespaces.setns(self._init.pidfd, flags)
                wire.send(far, {}, body())
                os._exit(0)

            _child(far, work)
        far.close()
        received = wire.receive(near)
        near.close()
        os.waitpid(helper, 0)
        if received is None:
            raise init.Failure("other", "the helper in the container's network ended")
        message, fds = received
        if "error" in message:
            raise init.Failure(message["kind"], message["error"])
        return fds

    def _plug(self, request: dict[str, Any]) -> None:
        """Give the running container one more interface."""
        interface = interface_from_json(request["interface"])
        make_interfaces((interface,), self._init.pid)

        def work() -> tuple[int, ...]:
            messages, _ = init.configure(interface)
            netlink.send(messages)
            route(request["routes"])
            return ()

        try:
            self._in_network(work)
        except init.Failure:
            names = {"name": interface.name, "host_name": interface.host_name}
            self._unplug({**names, "routes": request["routes"]})
            raise

    def _unplug(self, request: dict[str, Any]) -> None:
        """Take an interface away; one that is gone already is fine."""
        host_name = request["host_name"]
        if host_name:
            # By its far end: the container may have given the near one another name.
            with contextlib.suppress(OSError):
                netlink.send([netlink.delete_link(socket.if_nametoindex(host_name))])

        def work() -> tuple[int, ...]:
            if not host_name:
                with contextlib.suppress(OSError):
                    netlink.send([netlink.delete_link(socket.if_nametoindex(request["name"]))])
            route(request["routes"])
            return ()

        self._in_network(work)

    def _answer_names(self, address: str) -> list[int]:
        """Return the sockets at which the container asks for names, made when missing."""
        if not self._resolver:

            def work() -> tuple[int, ...]:
                sockets = init.open_resolver(address)
                return tuple(sock.detach() for sock in sockets)

            self._resolver = self._in_network(work)
        return self._resolver

    def _filter(self, spec: ProcessSpec, privileged: bool) -> bytes | None:
        if spec.seccomp is None or privileged:
            return None
        capabilities = frozenset(spec.capabilities)
        if spec.seccomp == "default":
            key = ",".join(sorted(capabilities))
            if key in self._filters:
                return self._filters[key]
            return seccomp.compile_profile(seccomp.default_profile(), capabilities)
        try:
            return seccomp.compile_profile(json.loads(spec.seccomp), capabilities)
        except (ValueError, KeyError, TypeError) as error:
            raise init.Failure("other", f"invalid seccomp profile: {error}") from error

    def _become_init(
        self,
        spec: ContainerSpec,
        channel: socket.socket,
        streams: _Streams,
        program: bytes | None,
        message: dict[str, Any],
    ) -> None:
        """Run in the child: everything from clone to exec."""
        os.setsid()
        process.prctl(process.PR_SET_PDEATHSIG, signal.SIGKILL)
        process.prctl(init.PR_SET_DUMPABLE, 0)
        init.set_oom_score(spec.process.oom_score_adj)
        told = wire.receive(channel, most_fds=MOST_TREES)
        if told is None:
            os._exit(1)
        for kind in ("net", "ipc", "uts"):
            if (path := spec.namespaces.get(kind, "private")).startswith("/"):
                namespaces.join_path(path, namespaces.KINDS[kind])
        if spec.namespaces.get("cgroup", "private") == "private":
            # Only now, after the groups were joined: their place becomes the root that is seen.
            namespaces.unshare(namespaces.CLONE_NEWCGROUP)
        process.forbid_imports()
        init.build_root(spec, message["scratch"], told[1])
        if spec.namespaces.get("net", "private") == "private":
            init.set_up_network(spec.interfaces)
            if spec.resolver:
                asked = init.open_resolver(spec.resolver)
                wire.send(channel, {"resolver": True}, tuple(sock.fileno() for sock in asked))
        if spec.namespaces.get("uts", "private") == "private":
            namespaces.sethostname(spec.hostname)
            if spec.domainname:
                namespaces.setdomainname(spec.domainname)
        init.write_sysctls(spec.sysctls)
        if spec.process.terminal:
            master, slave = init.open_terminal(spec.process, console=True)
            wire.send(channel, {"terminal": True}, (master,))
            streams.use(slave)
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        else:
            streams.use(None)
        init.close_all_but(channel.fileno())
        init.protect(spec)
        init.confine(spec.process.apparmor)
        userns = spec.id_map is not None
        env = init.become_user(spec.process, program, self._held, in_user_namespace=userns)
        if spec.process.terminal:
            env.setdefault("TERM", "xterm")
        init.execute(spec.process.args, env)

    # exec

    def _exec(self, request: dict[str, Any], fds: list[int], reply: Reply) -> None:
        """Start a process beside the first; `reply` is called once it runs or never will.

        What is waited for lives in the container, which may stop or freeze it: the supervisor
        itself must go on meanwhile.
        """
        spec = process_from_json(request["process"])
        program = self._filter(spec, request["privileged"])
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        streams = _Streams(spec)
        if self._spec.id_map:
            streams.give_to(self._spec.id_map[0])
        # A channel of the helper's own: its child may well be faster than it is.
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        helper = os.fork()
        if helper == 0:
            ours.close()
            near.close()
            _child(theirs, lambda: self._become_exec(spec, theirs, far, streams, program))
        theirs.close()
        far.close()
        streams.close_far()

        def settle(birth: _Birth) -> None:
            if birth.failure or birth.pidfd < 0:
                streams.close_near()
                if birth.pidfd >= 0:
                    self._reap_later(birth.pid, birth.pidfd)
                reply(birth.failure or init.Failure("other", "the process ended at once"))
                return
            stdio = streams.pump(self._loop, birth.master, None, stdin_once=True)
            exec_id = request["exec"]
            self._execs[exec_id] = Child(birth.pid, birth.pidfd, stdio, birth.master)
            for fd, wish in zip(fds, request["attachments"], strict=True):
                self._attach(stdio, fd, wish, exec_id)
            self._loop.watch(birth.pidfd, select.EPOLLIN, lambda _: self._exec_ended(exec_id))
            reply({"pid": birth.pid})

        _Birth(self._loop, near, ours, terminal=spec.terminal, settle=settle)
        self._reap_later(helper, os.pidfd_open(helper))

    def _reap_later(self, pid: int, pidfd: int) -> None:
        def ended(_events: int) -> None:
            self._loop.forget(pidfd)
            _reap(pid)
            os.close(pidfd)

        self._loop.watch(pidfd, select.EPOLLIN, ended)

    def _become_exec(
        self,
        spec: ProcessSpec,
        channel: socket.socket,
        far: socket.socket,
        streams: _Streams,
        program: bytes | None,
    ) -> None:
        self._cgroup.add(0)
        process.forbid_imports()
        userns = self._spec.id_map is not None
        init.join(self._init.pidfd, userns=userns)
        # What the container can see and trace must have no more than it has itself, so all rights
        # are given up before the process is born into its pid namespace.
        slave = None
        if spec.terminal:
            master, slave = init.open_terminal(spec, console=False)
            wire.send(channel, {"terminal": True}, (master,))
        keep = {channel.fileno(), far.fileno(), *streams.far, *([] if slave is None else [slave])}
        init.close_all_but(*keep)
        streams.use(slave)
        env = init.become_user(spec, program, self._held, in_user_namespace=userns)
        # Entering a pid namespace takes effect with the next child; as our parent's child it is
        # waited for by the supervisor itself. Its number here may be that of another pid
        # namespace, so it is handed over by descriptor.
        pid, pidfd = namespaces.fork_sibling()
        if pid:
            wire.send(far, {}, (pidfd,))
            os._exit(0)
        os.setsid()
        process.prctl(process.PR_SET_PDEATHSIG, signal.SIGKILL)
        if slave is not None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            env.setdefault("TERM", "xterm")
        init.close_all_but(channel.fileno())
        init.confine(spec.apparmor)
        init.execute(spec.args, env)

    def _exec_ended(self, exec_id: str) -> None:
        child = self._execs.pop(exec_id)
        self._loop.forget(child.pidfd)
        code = _reap(child.pid)
        os.close(child.pidfd)
        # Told before the streams end: clients ask for the code as soon as they see that end.
        self._broadcast({"event": "exec_exit", "exec": exec_id, "code": code})
        child.stdio.drain()

    # control

    def _connect(self, connection: socket.socket) -> None:
        wire.allow_large(connection)
        fd = connection.fileno()
        self._connections[fd] = connection
        self._loop.watch(fd, select.EPOLLIN, lambda _events: self._request(connection))

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._connect(connection)

    def _request(self, connection: socket.socket) -> None:
        try:
            received = wire.receive(connection)
        except OSError:
            received = None
        if received is None:
            self._loop.forget(connection.fileno())
            del self._connections[connection.fileno()]
            connection.close()
            return
        request, fds = received

        def reply(answer: dict[str, Any] | Exception, sent: tuple[int, ...] = ()) -> None:
            if isinstance(answer, Exception):
                answer = _told(answer)
                _close_all(fds)
            self._tell(connection, {**answer, "reply": request.get("id")}, sent)

        try:
            self._handle(request, fds, reply)
        except Exception as error:  # noqa: BLE001 - no request may end a container
            reply(error)

    def _handle(self, request: dict[str, Any], fds: list[int], reply: Reply) -> None:
        match request["op"]:
            case "attach":
                self._attach(self._init.stdio, fds[0], request, None)
            case "exec":
                self._exec(request, fds, reply)
                return
            case "resize":
                target = self._init if request["exec"] is None else self._execs[request["exec"]]
                if target.master is not None:
                    _resize(target.master, request["rows"], request["columns"])
            case "plug":
                self._plug(request)
            case "unplug":
                self._unplug(request)
            case "resolver":
                reply({}, tuple(self._answer_names(request["address"])))
                return
            case "kill":
                self._kill(request["exec"], request["signal"])
            case "freeze":
                self._cgroup.freeze(frozen=request["frozen"])
            case "update":
                limits.apply_resources(self._cgroup, ResourceSpec(**request["resources"]))
            case other:
                raise init.Failure("other", f"unknown request {other!r}")
        reply({})

    def _kill(self, exec_id: str | None, number: int) -> None:
        child = self._init if exec_id is None else self._execs.get(exec_id)
        # A process that has just ended cannot be signalled, and need not be.
        with contextlib.suppress(ProcessLookupError):
            if child is not None:
                namespaces.pidfd_send_signal(child.pidfd, number)

    def _attach(self, stdio: Stdio, fd: int, wish: dict[str, Any], exec_id: str | None) -> None:
        outputs = {1} if wish["stdout"] else set()
        if wish["stderr"]:
            outputs.add(2)
        stdio.attach(
            socket.socket(fileno=fd),
            stdin=wish["stdin"],
            outputs=outputs,
            framed=wish["framed"],
            detach_keys=wish["detach_keys"].encode("latin-1"),
            on_detach=lambda: self._broadcast({"event": "detach", "exec": exec_id}),
        )

    def _tell(
        self, connection: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()
    ) -> None:
        # A daemon that went away in the middle is no reason to leave the container alone.
        with contextlib.suppress(OSError):
            wire.send(connection, message, fds)

    def _broadcast(self, message: dict[str, Any]) -> None:
        for connection in list(self._connections.values()):
            self._tell(connection, message)

    # end

    def _stay(self) -> None:
        while self._init.pidfd >= 0:
            self._loop.run_once()
        while not self._init.stdio.flushed and self._connections:
            self._loop.run_once()

    def _init_ended(self) -> None:
        child = self._init
        self._loop.forget(child.pidfd)
        code = _reap(child.pid)
        finished = time.time_ns()
        # With the host's pid namespace the rest of the container outlives its first process.
        self._cgroup.kill()
        for running in self._execs.values():
            self._loop.forget(running.pidfd)
            _reap(running.pid)
            running.stdio.drain()
        child.stdio.drain()
        oom_killed = self._cgroup.oom_kills() > 0
        result = {
            "code": code,
            "oom_killed": oom_killed,
            "started_at_ns": self._started_ns,
            "finished_at_ns": finished,
        }
        # On a full disk the daemon is still told; only one that starts later could not know.
        with contextlib.suppress(OSError):
            self._save("exit.json", result)
        for exec_id in list(self._execs):
            self._broadcast({"event": "exec_exit", "exec": exec_id, "code": 137})
        self._broadcast({"event": "exit", **result})
        self._cgroup.remove_when_empty()
        os.close(child.pidfd)
        child.pidfd = -1

    def _save(self, name: str, document: dict[str, Any]) -> None:
        path = f"{self._directory}/{name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        fd = os.open(f"{path}.new", flags, 0o600)
        os.write(fd, json.dumps({**document, "supervisor": os.getpid()}).encode())
        os.close(fd)
        os.replace(f"{path}.new", path)


class _Birth:
    """An exec on its way: what its helper and then the process itself say of it.

    Shape: `near` brings the process's pidfd, `ours` its terminal or what failed; the end of both
           settles it. `pidfd` is -1 when it never came to be.
    """

    def __init__(
        self,
        loop: Loop,
        near: socket.socket,
        ours: socket.socket,
        *,
        terminal: bool,
        settle: Callable[[_Birth], None],
    ) -> None:
        self.pid = 0
        self.pidfd = -1
        self.master: int | None = None
        self.failure: init.Failure | None = None
        self._loop = loop
        self._terminal = terminal
        self._settle = settle
        self._open = {near, ours}
        for channel in (near, ours):
            loop.watch(channel.fileno(), select.EPOLLIN, self._listener(channel))

    def _listener(self, channel: socket.socket) -> Callable[[int], None]:
        return lambda _events: self._heard(channel)

    def _heard(self, channel: socket.socket) -> None:
        received = wire.receive(channel)
        if received is None:
            self._loop.forget(channel.fileno())
            channel.close()
            self._open.discard(channel)
            if not self._open:
                self._end()
            return
        message, fds = received
        if "error" in message:
            self.failure = init.Failure(message["kind"], message["error"])
        elif message.get("terminal"):
            self.master = fds[0]
        else:
            self.pidfd = fds[0]
            self.pid = namespaces.pid_of(self.pidfd)

    def _end(self) -> None:
        if self._terminal and self.master is None and self.failure is None:
            self.failure = init.Failure("other", "the process ended before it was started")
        if self.failure and self.master is not None:
            os.close(self.master)
        self._settle(self)


class _Streams:
    """The pipes of a process without a terminal, both ends, until each side took its own."""

    def __init__(self, spec: ProcessSpec) -> None:
        self._spec = spec
        self._near: list[int] = []
        self.far: list[int] = []
        if spec.terminal:
            return
        if spec.open_stdin:
            far, near = os.pipe2(os.O_CLOEXEC)
        else:
            far, near = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), -1
        self._near.append(near)
        self.far.append(far)
        for _ in range(2):
            near, far = os.pipe2(os.O_CLOEXEC)
            self._near.append(near)
            self.far.append(far)

    def give_to(self, uid: int) -> None:
        """Let another user own the pipes: the root of a user namespace cannot take them."""
        for fd in self.far[1:] + ([self.far[0]] if self._near and self._near[0] >= 0 else []):
            os.fchown(fd, uid, uid)

    def close_far(self) -> None:
        """Close the child's ends in the parent."""
        for fd in self.far:
            os.close(fd)

    def close_near(self) -> None:
        """Close the parent's ends after a start that failed."""
        for fd in self._near:
            if fd >= 0:
                os.close(fd)

    def use(self, slave: int | None) -> None:
        """Make the child's ends, or a terminal, its standard streams."""
        for number in range(3):
            os.dup2(self.far[number] if slave is None else slave, number)

    def pump(
        self, loop: Loop, master: int | None, log: LogWriter | None, *, stdin_once: bool
    ) -> Stdio:
        """Return the pump of the parent's ends."""
        if master is not None:
            return Stdio(loop, {master: 1}, master, log, terminal=True, stdin_once=stdin_once)
        stdin, stdout, stderr = self._near
        near_stdin = stdin if stdin >= 0 else None
        outputs = {stdout: 1, stderr: 2}
        return Stdio(loop, outputs, near_stdin, log, terminal=False, stdin_once=stdin_once)


def _child(channel: socket.socket, body: Any) -> None:
    """Run `body` in a fresh child; report what stops it and never return."""
    try:
        try:
            _reset_signals()
            body()
        except BaseException as error:  # noqa: BLE001 - a child must never run on as its parent
            wire.send(channel, _told(error))
    finally:
        os._exit(1)


def _told(error: BaseException) -> dict[str, Any]:
    """Return what the daemon is told of a failure; names in it may be of any length."""
    if isinstance(error, init.Failure):
        kind, text = error.kind, error.message
    elif isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        kind, text = "other", f"{error.strerror}{where}"
    else:
        kind, text = "other", f"{type(error).__name__}: {error}"
    if len(text) > LONGEST_ERROR:
        text = text[:LONGEST_ERROR] + "…"
    return {"error": text.encode("utf-8", "replace").decode(), "kind": kind}


def _reset_signals() -> None:
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def make_interfaces(interfaces: tuple[InterfaceSpec, ...], pid: int) -> None:
    """Make interfaces in the network of a process, as far as that is done from outside."""
    messages = []
    for item in interfaces:
        try:
            parent = socket.if_nametoindex(item.parent)
        except OSError as error:
            raise init.Failure("other", f"{item.parent}: no such network device") from error
        if item.kind == "macvlan":
            values = (item.name, parent, item.mode, pid, item.mac, item.mtu)
            messages.append(netlink.new_macvlan(*values))
        else:
            messages.append(
                netlink.new_veth(item.host_name, parent, item.name, pid, item.mac, item.mtu)
            )
    netlink.send(messages)
    isolated = []
    for item in interfaces:
        if item.host_name:
            netlink.disable_ipv6(item.host_name)
            if item.isolated:
                isolated.append(netlink.isolate_port(socket.if_nametoindex(item.host_name)))
    if isolated:
        netlink.send(isolated)


def route(routes: dict[str, list[str] | None]) -> None:
    """Set the default routes: by "4" and "6" an interface and a gateway, or None for no route."""
    for version, way in routes.items():
        if way:
            netlink.send([netlink.default_route(socket.if_nametoindex(way[0]), way[1])])
        else:
            with contextlib.suppress(OSError):  # there was none
                netlink.send([netlink.no_default_route(int(version))])


def _reap(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def _close_all(fds: list[int]) -> None:
    """Close a refused client's sockets, so that it sees the end of its stream."""
    for fd in fds:
        # One that was attached before the failure is closed already, by its owner.
        with contextlib.suppress(OSError):
            os.close(fd)


def _resize(master: int, rows: int, columns: int) -> None:
    termios.tcsetwinsize(master, (rows, columns))


def main(control: socket.socket, directory: str, filters: dict[str, bytes]) -> None:
    """Be a supervisor; the caller has just forked."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    errors = os.open(
        f"{directory}/supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
    )
    os.dup2(errors, 2)
    os.close(errors)
    try:
        Supervisor(control, directory, filters).run()
    except BaseException:  # noqa: BLE001 - the last place where it can be written down
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)

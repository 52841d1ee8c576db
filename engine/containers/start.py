"""Start, and what follows from it: the exit, the restart policy, being found again."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from engine.containers import options
from engine.containers.model import Container, State, Verb
from engine.containers.remove import discard_container
from engine.core import clock
from engine.core.errors import EngineError, StartFailed
from engine.kernel.mount import Mount
from engine.networks.model import NetworkRequest
from engine.runtime.runtime import ExitStatus, RunningContainer
from engine.supervisor.spec import ContainerSpec, ProcessSpec

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.networks.model import NetworkSetup
    from engine.runtime.runtime import Attachment

log = logging.getLogger(__name__)

FIRST_DELAY = 0.1  # seconds before the first restart, doubled each time
LONGEST_DELAY = 60.0
STEADY = 10.0  # seconds of running after which the delay starts over

_background: set[asyncio.Task[None]] = set()


def in_background(work: Any) -> None:
    """Run a coroutine that nobody waits for; a fault in it is logged."""
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
    _background.add(task)

    def ended(done: asyncio.Task[None]) -> None:
        _background.discard(done)
        if not done.cancelled() and (error := done.exception()):
            log.error("background work failed", exc_info=error)

    task.add_done_callback(ended)


async def start_container(deps: Containers, container: Container) -> None:
    """Run a container's program.

    Raises: NotModified(runs already) · StartFailed(126, 127 …) · EngineError(network, mounts).
    After: on failure nothing of the attempt is left and the state says why.
    """
    async with container.lock:
        container.require(Verb.START)
        _cancel_restart(container)
        container.stopped_by_hand = False
        await _start(deps, container)


def _cancel_restart(container: Container) -> None:
    if container.restart_timer:
        container.restart_timer.cancel()
        container.restart_timer = None


async def _start(deps: Containers, container: Container) -> None:
    attachments: list[Attachment] = []
    try:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(deps.networks.release, container.id)
            setup = await deps.networks.allocate(_network_request(container))
            spec = await asyncio.to_thread(build_spec, deps, container, setup)
            attachments = [pending.take() for pending in container.waiting_attachments]
            container.waiting_attachments.clear()
            running = await deps.runtime.start(spec, attachments)
            undo.pop_all()
    except EngineError as error:
        code = error.exit_code if isinstance(error, StartFailed) else 128
        state = container.state if container.state is not State.RESTARTING else State.EXITED
        container.set_state(state, ExitCode=code, Error=str(error), FinishedAt=clock.stamp())
        deps.save(container)
        container.next_exit.set()
        if container.host_config.get("AutoRemove"):
            # Its waiter would wait for ever for an exit that never comes.
            await discard_container(deps, container)
        raise
    finally:
        for item in attachments:
            item.sock.close()
    container.document["NetworkSettings"] = setup.settings
    _is_running(container, running)
    deps.save(container)
    deps.publish(container, "start")
    in_background(_watch(deps, container, running))


def _is_running(container: Container, running: RunningContainer) -> None:
    container.running = running
    container.exited.clear()
    container.next_exit.clear()
    container.set_state(
        State.RUNNING,
        Pid=running.pid,
        ExitCode=0,
        Error="",
        OOMKilled=False,
        StartedAt=clock.stamp(running.started_at),
    )


async def _watch(deps: Containers, container: Container, running: RunningContainer) -> None:
    """Wait for the end and act on it."""
    status = await running.wait()
    async with container.lock:
        await record_exit(deps, container, status)
        await _after_exit(deps, container, status)


async def record_exit(deps: Containers, container: Container, status: ExitStatus) -> None:
    """Write an exit down and tell of it; the container's lock is held."""
    container.running = None
    await deps.networks.release(container.id)
    await deps.runtime.forget(container.id)
    container.set_state(
        State.EXITED,
        Pid=0,
        ExitCode=status.code,
        OOMKilled=status.oom_killed,
        FinishedAt=clock.stamp(status.finished_at),
    )
    deps.save(container)
    if status.oom_killed:
        deps.publish(container, "oom")
    started = clock.parse(container.document["State"]["StartedAt"])
    duration = max(0, int((status.finished_at - started).total_seconds()))
    deps.publish(container, "die", exitCode=str(status.code), execDuration=str(duration))
    container.exited.set()
    container.next_exit.set()


async def _after_exit(deps: Containers, container: Container, status: ExitStatus) -> None:
    if container.host_config.get("AutoRemove"):
        await discard_container(deps, container)
    elif _should_restart(container, status.code):
        _schedule_restart(deps, container)
    else:
        container.document["RestartDelay"] = 0


def _should_restart(container: Container, code: int) -> bool:
    name, most = options.restart_policy(container.host_config)
    if container.stopped_by_hand or name == "no":
        return False
    if name == "on-failure":
        return code != 0 and (not most or container.document["RestartCount"] < most)
    return True


def _schedule_restart(deps: Containers, container: Container) -> None:
    state = container.document["State"]
    ran = clock.parse(state["FinishedAt"]) - clock.parse(state["StartedAt"])
    delay = float(container.document.get("RestartDelay") or 0)
    if not delay or ran.total_seconds() > STEADY:
        delay = FIRST_DELAY
    container.document["RestartDelay"] = min(delay * 2, LONGEST_DELAY)
    container.set_state(State.RESTARTING)
    deps.save(container)
    container.restart_timer = asyncio.get_running_loop().call_later(
        delay, lambda: in_background(_restart_now(deps, container))
    )


async def _restart_now(deps: Containers, container: Container) -> None:
    async with container.lock:
        if container.state is not State.RESTARTING:
            return
        container.restart_timer = None
        container.document["RestartCount"] += 1
        try:
            await _start(deps, container)
        except EngineError as error:
            log.warning("restart of %s failed: %s", container.name, error)
            code = container.document["State"]["ExitCode"]
            if container.id in deps.by_id and _should_restart(container, code):
                _schedule_restart(deps, container)


def _network_request(container: Container) -> NetworkRequest:
    config, host = container.config, container.host_config
    mode = host["NetworkMode"]
    return NetworkRequest(
        container_id=container.id,
        name=container.name,
        hostname=config["Hostname"],
        domainname=config.get("Domainname") or "",
        mode=mode,
        mac=config.get("MacAddress") or "",
        bindings=() if mode != "bridge" else options.port_bindings(config, host),
        exposed=tuple(config.get("ExposedPorts") or ()),
        dns=tuple(host.get("Dns") or ()),
        dns_search=tuple(host.get("DnsSearch") or ()),
        dns_options=tuple(host.get("DnsOptions") or ()),
        extra_hosts=tuple(host.get("ExtraHosts") or ()),
    )


def build_spec(deps: Containers, container: Container, setup: NetworkSetup) -> ContainerSpec:
    """Return what the runtime is asked to run."""
    config, host = container.config, container.host_config
    wishes = {item["Target"]: item for item in options.mounts_wanted(config, host)}
    rootfs = deps.snapshots.mounts(container.id)
    mounts = []
    for item in container.document["Mounts"]:
        wish = wishes[item["Destination"]]
        if item["Type"] == "volume" and "nocopy" not in wish["Options"]:
            deps.volumes.copy_up(
                item["Name"], deps.snapshots.layers(container.id), item["Destination"]
            )
        mounts.append(options.runtime_mount(wish, item["Source"]))
    # Shallow targets first, so that one mount does not hide another inside it.
    mounts.sort(key=lambda mount: mount.target.count("/"))
    covered = {mount.target for mount in mounts}
    for target, source in setup.files.items():
        if target not in covered:
            words = ("bind", "rprivate", *(("ro",) if host.get("ReadonlyRootfs") else ()))
            mounts.append(Mount("bind", source, target, words))
    logs, size, files = options.log_options(host)
    return ContainerSpec(
        id=container.id,
        hostname=config["Hostname"],
        domainname=config.get("Domainname") or "",
        process=process_spec(container),
        rootfs=tuple(rootfs),
        log_path=container.document["LogPath"] if logs else None,
        log_max_size=size,
        log_max_files=files,
        mounts=tuple(mounts),
        namespaces=_namespaces(host),
        interfaces=setup.interfaces,
        resources=options.resources(host),
        readonly_rootfs=bool(host.get("ReadonlyRootfs")),
        masked_paths=tuple(host["MaskedPaths"]),
        readonly_paths=tuple(host["ReadonlyPaths"]),
        sysctls=options.sysctls(host),
        devices=options.devices(host),
        shm_size=int(host["ShmSize"]),
        privileged=bool(host.get("Privileged")),
        init=bool(host.get("Init")),
    )


def _namespaces(host: dict[str, Any]) -> dict[str, str]:
    chosen = {
        "net": "host" if host["NetworkMode"] == "host" else "private",
        "pid": host.get("PidMode") or "private",
        "ipc": host.get("IpcMode") or "private",
        "uts": host.get("UTSMode") or "private",
        "cgroup": host.get("CgroupnsMode") or "private",
    }
    return {kind: "host" if mode == "host" else "private" for kind, mode in chosen.items()}


def process_spec(container: Container) -> ProcessSpec:
    """Return the container's first process."""
    config, host = container.config, container.host_config
    no_new_privileges, seccomp = options.security(host)
    size = host.get("ConsoleSize") or (0, 0)
    terminal = bool(config.get("Tty"))
    env = [*config["Env"]]
    named = {item.split("=", 1)[0] for item in env}
    if "HOSTNAME" not in named:
        env.insert(0, f"HOSTNAME={config['Hostname']}")
    if terminal and "TERM" not in named:
        env.append("TERM=xterm")
    return ProcessSpec(
        args=(container.document["Path"], *container.document["Args"]),
        env=tuple(env),
        cwd=config.get("WorkingDir") or "/",
        user=config.get("User") or "",
        group_add=tuple(host.get("GroupAdd") or ()),
        terminal=terminal,
        open_stdin=bool(config.get("OpenStdin")),
        stdin_once=bool(config.get("StdinOnce")),
        console_size=(int(size[0]), int(size[1])) if size[0] and size[1] else None,
        capabilities=options.capabilities(host),
        no_new_privileges=no_new_privileges,
        seccomp=seccomp,
        rlimits=options.rlimits(host),
        oom_score_adj=int(host.get("OomScoreAdj") or 0),
    )


async def adopt_containers(deps: Containers) -> set[str]:
    """Find the containers that an earlier daemon left running; return the IDs of those that run.

    Called before networks open, so that theirs are kept. Exits are acted on by `settle`.
    """
    running = set()
    for container in deps.by_id.values():
        if not container.is_running:
            continue
        found = await deps.runtime.adopt(container.id)
        if isinstance(found, RunningContainer):
            container.running = found
            container.exited.clear()
            running.add(container.id)
        else:
            container.pending_exit = found or deps.runtime.exit_of(container.id)
    return running


async def settle(deps: Containers, *, boot: bool) -> None:
    """Act on what happened while no daemon ran: exits, restart policies, automatic removal."""
    for container in list(deps.by_id.values()):
        if container.running:
            in_background(_watch(deps, container, container.running))
        elif container.pending_exit:
            status, container.pending_exit = container.pending_exit, None
            async with container.lock:
                await record_exit(deps, container, status)
                await _after_exit(deps, container, status)
        elif container.state is State.RESTARTING:
            _schedule_restart(deps, container)
        elif container.state is State.REMOVING or (
            container.host_config.get("AutoRemove") and container.state is not State.CREATED
        ):
            await discard_container(deps, container)
        elif boot and _starts_at_boot(container):
            in_background(start_container(deps, container))


def _starts_at_boot(container: Container) -> bool:
    name, _ = options.restart_policy(container.host_config)
    return name == "always" and container.state is State.EXITED

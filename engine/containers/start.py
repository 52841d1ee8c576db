"""Start, and what follows from it: the exit, the restart policy, being found again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.containers import limits, links, options
from engine.containers.background import in_background
from engine.containers.health import begin_health_checks, end_health_checks
from engine.containers.model import Container, State, Verb
from engine.containers.mounts import runtime_mount
from engine.containers.networking import publish_network, request_of
from engine.containers.remove import discard_container
from engine.core import clock
from engine.core.errors import (
    Conflict,
    EngineError,
    Internal,
    NotFound,
    StartFailed,
    StoreFailed,
)
from engine.kernel.cgroups import Cgroup
from engine.kernel.mount import Mount
from engine.networks.model import NetworkSetup
from engine.runtime.runtime import ExitStatus, RunningContainer
from engine.supervisor.spec import ContainerSpec, ProcessSpec

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.runtime.runtime import Attachment

log = logging.getLogger(__name__)

FIRST_DELAY = 0.1  # seconds before the first restart, doubled each time
LONGEST_DELAY = 60.0
STEADY = 10.0  # seconds of running after which the delay starts over

MOST_CLIENTS = 200  # that a container starts with
INIT_INSIDE = "/sbin/docker-init"


async def start_container(deps: Containers, container: Container) -> None:
    """Run a container's program.

    Raises: NotModified(runs already) · StartFailed(126, 127 …) · EngineError(network, mounts).
    After: on failure nothing of the attempt is left and the state says why.
    """
    async with container.lock:
        container.require(Verb.START)
        _cancel_restart(container)
        container.stopped_by_hand = False
        container.document["RestartCount"] = 0
        await _start(deps, container)


def _cancel_restart(container: Container) -> None:
    if container.restart_timer:
        container.restart_timer.cancel()
        container.restart_timer = None


async def _start(deps: Containers, container: Container) -> None:
    attachments: list[Attachment] = []
    try:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(deps.sandboxes.release, container.id)
            undo.callback(release_volumes, deps, container)
            setup = await _set_up_network(deps, container)
            try:
                spec = await asyncio.to_thread(build_spec, deps, container, setup)
            except OSError as error:
                raise Internal(f"{error.strerror}: {error.filename}") from error
            waiting = [item for item in container.waiting_attachments if not item.drop_if_gone()]
            attachments = [pending.take() for pending in waiting[:MOST_CLIENTS]]
            for pending in waiting[MOST_CLIENTS:]:
                pending.take().sock.close()
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
    await deps.sandboxes.answer_names(running)
    _is_running(container, running)
    _tell_networks(deps, container, "connect")
    deps.save(container)
    for plan in _volume_plans(container):
        deps.events.publish(
            "volume",
            "mount",
            plan["Name"],
            container=container.id,
            destination=plan["Target"],
            driver="local",
            propagation="",
            **{"read/write": str(not plan["ReadOnly"]).lower()},
        )
    deps.publish(container, "start")
    in_background(_watch(deps, container, running))
    begin_health_checks(deps, container)


def _tell_networks(deps: Containers, container: Container, action: str) -> None:
    sandbox = deps.sandboxes.get(container.id)
    for network_id in sandbox.endpoints if sandbox else ():
        with contextlib.suppress(NotFound):
            publish_network(deps, action, deps.networks.get(network_id), container)


def _volume_plans(container: Container) -> list[dict[str, Any]]:
    return [plan for plan in container.document["Plan"] if plan["Type"] == "volume"]


def release_volumes(deps: Containers, container: Container) -> None:
    """Let go of what is mounted for a container's volumes."""
    for plan in _volume_plans(container):
        deps.volumes.unmount(plan["Name"], container.id)


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
    if "Health" in container.document["State"]:
        health = {"Status": "starting", "FailingStreak": 0, "Log": []}
        container.document["State"]["Health"] = health


async def _watch(deps: Containers, container: Container, running: RunningContainer) -> None:
    """Wait for the end and act on it; meanwhile tell of clients that detach."""

    def detached(exec_id: str | None) -> None:
        if exec_id is None:
            deps.publish(container, "detach")
        else:
            deps.publish(container, "exec_detach", execID=exec_id)

    running.on_detach = detached
    status = await running.wait()
    async with container.lock:
        await record_exit(deps, container, status)
        await _after_exit(deps, container, status)


async def record_exit(deps: Containers, container: Container, status: ExitStatus) -> None:
    """Write an exit down and tell of it; the container's lock is held."""
    container.running = None
    end_health_checks(container)
    container.set_state(
        State.EXITED,
        Pid=0,
        ExitCode=status.code,
        OOMKilled=status.oom_killed,
        FinishedAt=clock.stamp(status.finished_at),
    )
    try:
        deps.save(container)
        await deps.runtime.forget(container.id)
    except StoreFailed:
        # A full disk must not keep anybody waiting; the supervisor's own record stays for later.
        log.exception("the end of %s could not be written down", container.name)
    _tell_networks(deps, container, "disconnect")
    with contextlib.suppress(StoreFailed):  # what is still written of it goes with the next start
        await deps.sandboxes.release(container.id)
    await asyncio.to_thread(release_volumes, deps, container)
    for plan in _volume_plans(container):
        attributes = {"container": container.id, "driver": "local"}
        deps.events.publish("volume", "unmount", plan["Name"], **attributes)
    if status.oom_killed:
        deps.publish(container, "oom")
    started = clock.parse(container.document["State"]["StartedAt"])
    duration = max(0, int((status.finished_at - started).total_seconds()))
    deps.publish(container, "die", exitCode=str(status.code), execDuration=str(duration))
    container.exited.set()
    container.next_exit.set()


async def _after_exit(deps: Containers, container: Container, status: ExitStatus) -> None:
    if container.restarts:
        return
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


async def _set_up_network(deps: Containers, container: Container) -> NetworkSetup:
    """Return addresses, ports and files, or what the container shares with another."""
    mode = container.host_config["NetworkMode"]
    if mode.startswith("container:"):
        other = _running_other(deps, mode, "join network of")
        directory = deps.settings.state / "containers" / other.id
        names = ("hosts", "resolv.conf", "hostname")
        files = {f"/etc/{name}": str(directory / name) for name in names}
        return NetworkSetup((), files, {"Ports": {}, "Networks": {}})
    return await deps.sandboxes.allocate(request_of(deps, container))


def _running_other(deps: Containers, mode: str, deed: str) -> Container:
    """Return the container that "container:<id>" names. Raises: NotFound · Conflict."""
    other = deps.find(mode.partition(":")[2])
    if other.running is None:
        raise Conflict(f"cannot {deed} a non running container: {other.id}")
    if other.state is State.RESTARTING:
        raise Conflict(f"cannot {deed} a restarting container: {other.id}")
    return other


def build_spec(deps: Containers, container: Container, setup: NetworkSetup) -> ContainerSpec:
    """Return what the runtime is asked to run."""
    config, host = container.config, container.host_config
    mounts = user_mounts(deps, container)
    covered = {mount.target for mount in mounts}
    read_only = ("ro",) if host.get("ReadonlyRootfs") else ()
    for target, source in setup.files.items():
        if target not in covered:
            mounts.append(Mount("bind", source, target, ("bind", "rprivate", *read_only)))
    process = process_spec(container, links.environment(deps, container))
    if _wants_init(host):
        mounts.append(Mount("bind", options.INIT, INIT_INSIDE, ("bind", "rprivate", "ro")))
        process = replace(process, args=(INIT_INSIDE, "--", *process.args))
    logs = options.log_options(host)
    namespaces, shm = _namespaces(deps, host)
    return ContainerSpec(
        id=container.id,
        cgroup=deps.cgroup_of(container),
        hostname=config["Hostname"],
        domainname=config.get("Domainname") or "",
        process=process,
        rootfs=tuple(deps.snapshots.mounts(container.id)),
        log_path=container.document["LogPath"] or None,
        log_max_size=logs.size,
        log_max_files=logs.files,
        log_compress=logs.compress,
        log_attributes=options.log_attributes(config, logs.extras, _tag_fields(container)),
        mounts=tuple(mounts),
        namespaces=namespaces,
        interfaces=setup.interfaces,
        resolver=setup.resolver,
        resources=limits.resources(host),
        readonly_rootfs=bool(host.get("ReadonlyRootfs")),
        masked_paths=tuple(host["MaskedPaths"]),
        readonly_paths=tuple(host["ReadonlyPaths"]),
        sysctls=options.sysctls(host),
        devices=limits.devices(host),
        shm_size=int(host["ShmSize"]),
        shm=shm,
        id_map=None if host["UsernsMode"] == "host" else deps.settings.id_map,
        privileged=bool(host.get("Privileged")),
    )


def _tag_fields(container: Container) -> dict[str, str]:
    image_id = str(container.document["Image"]).removeprefix("sha256:")
    return {
        "ID": container.id[:12],
        "FullID": container.id,
        "Name": container.name,
        "ImageID": image_id[:12],
        "ImageFullID": f"sha256:{image_id}",
        "ImageName": str(container.config["Image"]),
        "DaemonName": "docker",
        "Command": " ".join([container.document["Path"], *container.document["Args"]]),
    }


def user_mounts(deps: Containers, container: Container) -> list[Mount]:
    """Return the mounts that were asked for, in the order in which they must be made.

    After: empty volumes hold what the image has at their place.
    """
    mounts = []
    for plan in container.document["Plan"]:
        if plan["Type"] == "volume":
            deps.volumes.mount(plan["Name"], container.id)
        if plan["Type"] == "volume" and plan["Copy"]:
            deps.volumes.copy_up(plan["Name"], deps.snapshots.layers(container.id), plan["Target"])
        mounts.append(runtime_mount(deps, plan))
    # Shallow targets first, so that one mount does not hide another inside it.
    return sorted(mounts, key=lambda mount: mount.target.count("/"))


def _wants_init(host: dict[str, Any]) -> bool:
    # In somebody else's pid namespace another process is the first and reaps orphans.
    return bool(host.get("Init")) and not host["PidMode"].startswith(("host", "container:"))


def _namespaces(deps: Containers, host: dict[str, Any]) -> tuple[dict[str, str], str]:
    """Return each kind's "private", "host" or path to join, and whose /dev/shm is seen."""
    chosen = {
        "net": host["NetworkMode"],
        "pid": host.get("PidMode") or "private",
        "ipc": host.get("IpcMode") or "private",
        "uts": host.get("UTSMode") or "private",
        "cgroup": host.get("CgroupnsMode") or "private",
    }
    found, shm = {}, {"host": "host", "none": "none"}.get(chosen["ipc"], "")
    for kind, mode in chosen.items():
        found[kind] = "host" if mode == "host" else "private"
        if not mode.startswith("container:"):
            continue
        deed = {"net": "join network of", "pid": "join PID of", "ipc": "join IPC of"}[kind]
        other = _running_other(deps, mode, deed)
        if kind == "ipc":
            if other.host_config["IpcMode"] not in ("shareable", "host"):
                raise Conflict(
                    f"cannot join IPC of a container: {other.id}: non-shareable IPC (hint: use "
                    "IpcMode:shareable for the donor container)"
                )
            shm = f"/proc/{other.document['State']['Pid']}/ns/mnt"
        found[kind] = f"/proc/{other.document['State']['Pid']}/ns/{kind}"
    return found, shm


def process_spec(container: Container, linked: list[str]) -> ProcessSpec:
    """Return the container's first process; `linked` are the variables that links bring."""
    config, host = container.config, container.host_config
    security = options.security(host)
    size = host.get("ConsoleSize") or (0, 0)
    terminal = bool(config.get("Tty"))
    env = [*config["Env"]]
    named = {item.split("=", 1)[0] for item in env}
    if "HOSTNAME" not in named:
        env.insert(0, f"HOSTNAME={config['Hostname']}")
    env = [*linked, *env]
    if terminal and "TERM" not in named:
        env.append("TERM=xterm")
    return ProcessSpec(
        args=(container.document["Path"], *container.document["Args"]),
        env=tuple(env),
        cwd=config.get("WorkingDir") or "/",
        make_cwd=True,
        user=config.get("User") or "",
        group_add=tuple(host.get("GroupAdd") or ()),
        terminal=terminal,
        open_stdin=bool(config.get("OpenStdin")),
        stdin_once=bool(config.get("StdinOnce")),
        console_size=(int(size[0]), int(size[1])) if size[0] and size[1] else None,
        capabilities=options.capabilities(host),
        no_new_privileges=security.no_new_privileges,
        seccomp=security.seccomp,
        apparmor=security.apparmor,
        rlimits=limits.rlimits(host),
        oom_score_adj=int(host.get("OomScoreAdj") or 0),
    )


async def adopt_containers(deps: Containers) -> dict[str, RunningContainer]:
    """Find the containers that an earlier daemon left running; return those that run, by ID.

    Called before networks open, so that theirs are kept. Exits are acted on by `settle`.
    """
    running = {}
    for container in deps.by_id.values():
        if not container.is_running:
            # A start that was cut off before it was written down is undone.
            await deps.runtime.undo(container.id, deps.cgroup_of(container))
            continue
        found = await deps.runtime.adopt(container.id, deps.cgroup_of(container))
        if isinstance(found, RunningContainer):
            container.running = found
            container.exited.clear()
            await _agree_on_pause(deps, container, found)
            running[container.id] = found
        else:
            container.pending_exit = found or deps.runtime.exit_of(
                container.id, Cgroup(deps.cgroup_of(container))
            )
    return running


async def _agree_on_pause(
    deps: Containers, container: Container, running: RunningContainer
) -> None:
    """Finish or undo a pause, or the one that commit makes, which the daemon's end cut off."""
    frozen = running.cgroup.is_frozen()
    if frozen and container.state is State.RUNNING:
        await running.unpause()
    elif not frozen and container.state is State.PAUSED:
        container.set_state(State.RUNNING)
        deps.save(container)


async def settle(deps: Containers) -> None:
    """Act on what happened while no daemon ran: exits, restart policies, automatic removal."""
    for container in list(deps.by_id.values()):
        if container.running:
            in_background(_watch(deps, container, container.running))
            begin_health_checks(deps, container)
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
            volumes = bool(container.document.get("RemoveVolumes", True))
            await discard_container(deps, container, volumes=volumes)
        elif _starts_with_engine(container):
            in_background(_start_again(deps, container))


def _starts_with_engine(container: Container) -> bool:
    # "always" forgets a stop by hand when the engine starts anew; "unless-stopped" does not.
    name, _ = options.restart_policy(container.host_config)
    if container.state is not State.EXITED:
        return False
    return name == "always" or (name == "unless-stopped" and not container.stopped_by_hand)


async def _start_again(deps: Containers, container: Container) -> None:
    try:
        await start_container(deps, container)
    except EngineError as error:
        log.warning("start of %s failed: %s", container.name, error)

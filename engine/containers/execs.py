"""Exec: another process in a running container."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from engine.containers import limits, links, options
from engine.containers.background import in_background
from engine.containers.model import Container, Exec, Verb
from engine.core.errors import Conflict, EngineError, InvalidArgument, StartFailed
from engine.core.ids import new_id
from engine.kernel.process import CAPABILITIES
from engine.supervisor.spec import ProcessSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.containers.deps import Containers
    from engine.runtime.runtime import Attachment

KEPT = 300.0  # seconds for which an exec that has ended can still be asked for its code


def create_exec(deps: Containers, container: Container, config: dict[str, Any]) -> Exec:
    """Remember what is to be run. Raises: Conflict(not running) · InvalidArgument(no command)."""
    container.require(Verb.EXEC)
    if not config.get("Cmd"):
        raise InvalidArgument("No exec command specified")
    working = config.get("WorkingDir") or "/"
    if not working.startswith("/"):
        raise InvalidArgument(f"the working directory {working!r} needs to be an absolute path")
    for item in config.get("Env") or ():
        if not item or item.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {item}")
    instance = Exec(new_id(), container, config)
    container.execs[instance.id] = instance
    deps.execs[instance.id] = instance
    deps.publish(container, f"exec_create: {' '.join(config['Cmd'])}", execID=instance.id)
    return instance


async def start_exec(
    deps: Containers,
    instance: Exec,
    attachments: Sequence[Attachment],
    console_size: tuple[int, int] | None,
) -> None:
    """Run it. Raises: Conflict(ran before, container stopped) · StartFailed(126, 127)."""
    container = instance.container
    if instance.started:
        raise Conflict(f"Error: Exec command {instance.id} has already run")
    container.require(Verb.EXEC)
    if container.running is None:
        raise Conflict(f"container {container.id} is not running")
    instance.started = True
    config = instance.config
    command = " ".join(config["Cmd"])
    deps.publish(container, f"exec_start: {command}", execID=instance.id)
    privileged = bool(config.get("Privileged") or container.host_config.get("Privileged"))
    try:
        instance.running = await container.running.exec(
            instance.id,
            process_spec(deps, container, config, console_size),
            attachments,
            privileged=privileged,
        )
    except StartFailed as error:
        instance.code = error.exit_code
        raise
    in_background(_watch(deps, instance))


async def _watch(deps: Containers, instance: Exec) -> None:
    if instance.running is None:
        return
    instance.code = await instance.running.wait()
    deps.publish(
        instance.container, "exec_die", execID=instance.id, exitCode=str(instance.exit_code)
    )
    asyncio.get_running_loop().call_later(KEPT, _forget, deps, instance)


def _forget(deps: Containers, instance: Exec) -> None:
    deps.execs.pop(instance.id, None)
    instance.container.execs.pop(instance.id, None)


def process_spec(
    deps: Containers,
    container: Container,
    config: dict[str, Any],
    console_size: tuple[int, int] | None,
) -> ProcessSpec:
    """Return the process that Docker's exec configuration asks for."""
    host = container.host_config
    security = options.security(host)
    terminal = bool(config.get("Tty"))
    names = {item.split("=", 1)[0] for item in config.get("Env") or ()}
    env = [item for item in container.config["Env"] if item.split("=", 1)[0] not in names]
    env.insert(0, f"HOSTNAME={container.config['Hostname']}")
    with contextlib.suppress(EngineError):  # what it is linked to may have ended
        env = [*links.environment(deps, container), *env]
    if terminal and not any(item.startswith("TERM=") for item in env):
        env.append("TERM=xterm")
    return ProcessSpec(
        args=tuple(config["Cmd"]),
        env=(*env, *(item for item in config.get("Env") or () if "=" in item)),
        cwd=config.get("WorkingDir") or container.config.get("WorkingDir") or "/",
        user=config.get("User") or container.config.get("User") or "",
        group_add=tuple(host.get("GroupAdd") or ()),
        terminal=terminal,
        open_stdin=bool(config.get("AttachStdin")),
        stdin_once=True,
        console_size=console_size,
        capabilities=CAPABILITIES if config.get("Privileged") else options.capabilities(host),
        no_new_privileges=security.no_new_privileges,
        seccomp=None if config.get("Privileged") else security.seccomp,
        apparmor=None if config.get("Privileged") else security.apparmor,
        rlimits=limits.rlimits(host),
        oom_score_adj=int(host.get("OomScoreAdj") or 0),
    )


def inspect_exec(instance: Exec) -> dict[str, Any]:
    """Return Docker's description of an exec instance."""
    config = instance.config
    command = config["Cmd"]
    running = instance.started and instance.exit_code is None
    return {
        "ID": instance.id,
        "Running": running,
        "ExitCode": instance.exit_code,
        "ProcessConfig": {
            "tty": bool(config.get("Tty")),
            "entrypoint": command[0],
            "arguments": command[1:],
            "privileged": bool(config.get("Privileged")),
            "user": config.get("User") or "",
        },
        "OpenStdin": bool(config.get("AttachStdin")),
        "OpenStderr": bool(config.get("AttachStderr")),
        "OpenStdout": bool(config.get("AttachStdout")),
        "CanRemove": not running,
        "ContainerID": instance.container.id,
        "DetachKeys": config.get("DetachKeys") or "",
        "Pid": instance.running.pid if instance.running else 0,
    }

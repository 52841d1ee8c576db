"""Health checks: a probe run again and again beside the container's program.

Source: Docker's HEALTHCHECK: `starting` until the first success or, after the start period,
`Retries` failures in a row; every change of status is an event.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import TYPE_CHECKING, Any

from engine.containers.background import in_background
from engine.containers.execs import process_spec
from engine.containers.model import State, has_health_check
from engine.core import clock
from engine.core.errors import EngineError
from engine.core.ids import new_id
from engine.runtime.runtime import Attachment

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.containers.model import Container
    from engine.runtime.runtime import RunningExec

SECOND = 1_000_000_000
INTERVAL, TIMEOUT, START_INTERVAL = 30 * SECOND, 30 * SECOND, 5 * SECOND  # Docker's defaults
RETRIES = 3
KEPT = 5  # results shown by inspect
OUTPUT = 4096  # bytes of each probe's output


def begin_health_checks(deps: Containers, container: Container) -> None:
    """Probe a container that runs, if it says how."""
    if has_health_check(container.config.get("Healthcheck")):
        container.health = asyncio.get_running_loop().create_task(_probe_on(deps, container))
        in_background(_guard(container.health))


async def _guard(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def end_health_checks(container: Container) -> None:
    """Stop probing; a container that has ended is neither healthy nor starting."""
    if container.health:
        container.health.cancel()
        container.health = None
        health = container.document["State"]["Health"]
        if health["Status"] == "healthy":
            health["Status"] = "unhealthy"


async def _probe_on(deps: Containers, container: Container) -> None:
    """Probe until cancelled."""
    check = container.config["Healthcheck"]
    interval = _seconds(check, "Interval", INTERVAL)
    early = min(_seconds(check, "StartInterval", START_INTERVAL), interval)
    started = clock.parse(container.document["State"]["StartedAt"])
    grace = int(check.get("StartPeriod") or 0) / SECOND
    while True:
        age = (clock.now() - started).total_seconds()
        starting = container.document["State"]["Health"]["Status"] == "starting"
        await asyncio.sleep(early if starting and age < grace else interval)
        if container.state is not State.RUNNING or container.running is None:
            continue
        begun = clock.stamp()
        code, output = await _probe(deps, container, check)
        age = (clock.now() - started).total_seconds()
        result = {"Start": begun, "End": clock.stamp(), "ExitCode": code, "Output": output}
        _record(deps, container, result, in_grace=age < grace)


def _seconds(check: dict[str, Any], name: str, default: int) -> float:
    return (int(check.get(name) or 0) or default) / SECOND


def _record(
    deps: Containers, container: Container, result: dict[str, Any], *, in_grace: bool
) -> None:
    health = container.document["State"]["Health"]
    before = health["Status"]
    if result["ExitCode"] == 0:
        health |= {"FailingStreak": 0, "Status": "healthy"}
    elif not (in_grace and before == "starting"):
        retries = int(container.config["Healthcheck"].get("Retries") or 0) or RETRIES
        health["FailingStreak"] += 1
        if health["FailingStreak"] >= retries:
            health["Status"] = "unhealthy"
    health["Log"] = [*health["Log"], result][-KEPT:]
    if health["Status"] != before:
        deps.save(container)
        deps.publish(container, f"health_status: {health['Status']}")


async def _probe(deps: Containers, container: Container, check: dict[str, Any]) -> tuple[int, str]:
    """Run the test once; return its exit code, -1 when it never ended, and its output."""
    words = list(check["Test"])
    if words[0] == "CMD-SHELL":
        shell = container.config.get("Shell") or ["/bin/sh", "-c"]
        command = [*shell, *words[1:]]
    else:
        command = words[1:]
    exec_id, text = new_id(), " ".join(command)
    deps.publish(container, f"exec_create: {text}", execID=exec_id)
    deps.publish(container, f"exec_start: {text}", execID=exec_id)
    timeout = _seconds(check, "Timeout", TIMEOUT)
    try:
        code, output = await _run(deps, container, exec_id, command, timeout)
    except TimeoutError:
        code, output = -1, f"Health check exceeded timeout ({timeout:g}s)"
    except EngineError as error:
        code, output = -1, str(error)
    deps.publish(container, "exec_die", execID=exec_id, exitCode=str(code))
    return code, output


async def _run(
    deps: Containers, container: Container, exec_id: str, command: list[str], seconds: float
) -> tuple[int, str]:
    if container.running is None:
        raise TimeoutError
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    process: RunningExec | None = None
    try:
        async with asyncio.timeout(seconds):
            attachment = Attachment(theirs, stdin=False, framed=False)
            spec = process_spec(deps, container, {"Cmd": command}, None)
            process = await container.running.exec(exec_id, spec, (attachment,))
            theirs.close()
            output = await _read(ours)
            code = await process.wait()
            return code, output
    except TimeoutError:
        if process:
            await process.kill(signal.SIGKILL)
        raise
    finally:
        ours.close()
        theirs.close()


async def _read(sock: socket.socket) -> str:
    """Return the beginning of what comes until the end."""
    loop = asyncio.get_running_loop()
    kept = bytearray()
    while data := await loop.sock_recv(sock, OUTPUT):
        kept += data[: OUTPUT + 1 - len(kept)]
    if len(kept) > OUTPUT:
        return bytes(kept[:OUTPUT]).decode(errors="replace") + "..."
    return kept.decode(errors="replace")

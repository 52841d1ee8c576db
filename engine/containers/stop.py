"""Stop, kill, restart, pause and unpause."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from engine.containers import options
from engine.containers.model import Container, State, Verb
from engine.containers.start import start_container
from engine.core import clock
from engine.core.errors import Conflict, NotModified

if TYPE_CHECKING:
    from engine.containers.deps import Containers

GRACE = 10  # seconds between the stop signal and SIGKILL


async def stop_container(
    deps: Containers, container: Container, seconds: int | None, stop_signal: str | None = None
) -> None:
    """Ask the program to end, and make it end when it does not.

    Raises: NotModified(does not run).
    """
    container.require(Verb.STOP)
    container.stopped_by_hand = True
    if container.state is State.RESTARTING:
        async with container.lock:
            if container.restart_timer:
                container.restart_timer.cancel()
                container.restart_timer = None
            container.set_state(State.EXITED, FinishedAt=clock.stamp())
            deps.save(container)
        return
    running = container.running
    if running is None:
        raise NotModified("container is not running")
    config = container.config
    number = options.signal_number(stop_signal or config.get("StopSignal"))
    wanted = config.get("StopTimeout") if seconds is None else seconds
    grace = GRACE if wanted is None else int(wanted)
    deps.publish(container, "kill", signal=str(number))
    await _signal(container, number)
    try:
        await asyncio.wait_for(container.exited.wait(), None if grace < 0 else grace)
    except TimeoutError:
        deps.publish(container, "kill", signal=str(int(signal.SIGKILL)))
        await _signal(container, int(signal.SIGKILL))
        await container.exited.wait()
    deps.publish(container, "stop")


async def _signal(container: Container, number: int) -> None:
    running = container.running
    if running is None or running.exited.done():
        return
    await running.kill(number)
    if container.state is State.PAUSED and number == signal.SIGKILL:
        await running.unpause()


async def kill_container(deps: Containers, container: Container, name: str | None) -> None:
    """Send a signal. Raises: InvalidArgument(unknown signal) · Conflict(does not run)."""
    number = options.signal_number(name, "SIGKILL")
    container.require(Verb.KILL)
    if number == signal.SIGKILL:
        container.stopped_by_hand = True
    await _signal(container, number)
    deps.publish(container, "kill", signal=str(number))
    if number == signal.SIGKILL:
        await container.exited.wait()


async def restart_container(
    deps: Containers, container: Container, seconds: int | None, stop_signal: str | None = None
) -> None:
    """Stop when it runs, then start."""
    if container.host_config.get("AutoRemove") and container.is_running:
        raise Conflict("cannot restart a container that is removed when it stops")
    try:
        await stop_container(deps, container, seconds, stop_signal)
    except NotModified:
        container.stopped_by_hand = False
    await start_container(deps, container)
    deps.publish(container, "restart")


async def pause_container(deps: Containers, container: Container) -> None:
    """Freeze all processes. Raises: Conflict(not running, paused)."""
    async with container.lock:
        container.require(Verb.PAUSE)
        if container.running:
            await container.running.pause()
        container.set_state(State.PAUSED)
        deps.save(container)
    deps.publish(container, "pause")


async def unpause_container(deps: Containers, container: Container) -> None:
    """Let all processes go on. Raises: Conflict(not paused)."""
    async with container.lock:
        container.require(Verb.UNPAUSE)
        if container.running:
            await container.running.unpause()
        container.set_state(State.RUNNING)
        deps.save(container)
    deps.publish(container, "unpause")

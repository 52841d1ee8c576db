"""Stop, kill, restart, pause and unpause."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

from engine.containers import options
from engine.containers.model import Container, State, Verb
from engine.containers.signals import give_up_restart, send_signal
from engine.containers.start import start_container
from engine.core.errors import NotModified

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
    deps.save(container)
    if container.state is State.RESTARTING:
        await give_up_restart(deps, container)
        return
    running = container.running
    if running is None:
        raise NotModified("container is not running")
    config = container.config
    number = options.signal_number(stop_signal or config.get("StopSignal"))
    wanted = config.get("StopTimeout") if seconds is None else seconds
    grace = GRACE if wanted is None else int(wanted)
    await send_signal(deps, container, number)
    try:
        await asyncio.wait_for(container.exited.wait(), None if grace < 0 else grace)
    except TimeoutError:
        await send_signal(deps, container, int(signal.SIGKILL))
        await container.exited.wait()
    deps.publish(container, "stop")


async def kill_container(deps: Containers, container: Container, name: str | None) -> None:
    """Send a signal. Raises: InvalidArgument(unknown signal) · Conflict(does not run)."""
    number = options.signal_number(name, "SIGKILL")
    container.require(Verb.KILL)
    # Docker's rule: a signal that is meant to end it counts as a stop by hand.
    wanted = options.signal_number(container.config.get("StopSignal"))
    if number in (signal.SIGKILL, wanted):
        container.stopped_by_hand = True
        deps.save(container)
    await send_signal(deps, container, number)
    if number == signal.SIGKILL:
        await container.exited.wait()


async def restart_container(
    deps: Containers, container: Container, seconds: int | None, stop_signal: str | None = None
) -> None:
    """Stop when it runs, then start."""
    container.restarts += 1  # --rm waits for an end that is not followed by a start
    try:
        with contextlib.suppress(NotModified):
            await stop_container(deps, container, seconds, stop_signal)
        with contextlib.suppress(NotModified):  # another restart has started it already
            await start_container(deps, container)
    finally:
        container.restarts -= 1
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

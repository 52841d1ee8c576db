"""Signals, and the end that nobody can refuse."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from engine.containers.model import Container, State
from engine.core import clock

if TYPE_CHECKING:
    from engine.containers.deps import Containers


async def send_signal(deps: Containers, container: Container, number: int) -> None:
    """Send a signal; a frozen container goes on, or it could never follow it."""
    running = container.running
    if running is None or running.exited.done():
        return
    await running.kill(number)
    deps.publish(container, "kill", signal=str(number))
    if container.state is State.PAUSED:
        async with container.lock:
            if container.state is State.PAUSED:
                await running.unpause()
                container.set_state(State.RUNNING)
                deps.save(container)
                deps.publish(container, "unpause")


async def give_up_restart(deps: Containers, container: Container) -> None:
    """Let a container that waits for its next start stay as it is."""
    async with container.lock:
        if container.state is not State.RESTARTING:
            return  # it has been started meanwhile
        if container.restart_timer:
            container.restart_timer.cancel()
            container.restart_timer = None
        container.set_state(State.EXITED, FinishedAt=clock.stamp())
        deps.save(container)
        container.exited.set()


async def end_container(deps: Containers, container: Container) -> None:
    """Kill a container, whatever it does, and see it end."""
    container.stopped_by_hand = True
    await give_up_restart(deps, container)
    while container.running or container.state is State.PAUSED:
        await send_signal(deps, container, int(signal.SIGKILL))
        await container.exited.wait()

"""Remove: everything of a container, in an order that a crash can resume."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.containers.model import Container, State, Verb
from engine.containers.signals import end_container
from engine.core.errors import Conflict
from engine.core.trees import discard_tree

if TYPE_CHECKING:
    from engine.containers.deps import Containers


async def remove_container(
    deps: Containers, container: Container, *, force: bool, volumes: bool
) -> None:
    """Remove a container. Raises: Conflict(it runs and `force` is not set)."""
    if container.document["State"]["Running"]:
        if not force:
            advice = "unpause and stop" if container.state is State.PAUSED else "stop"
            raise Conflict(
                f'cannot remove container "{container.name}": container is '
                f"{container.state.value}: {advice} the container before removing or force remove"
            )
        await end_container(deps, container)
    async with container.lock:
        if container.id not in deps.by_id:
            return  # --rm was faster
        container.require(Verb.REMOVE)
        await discard_container(deps, container, volumes=volumes)


async def discard_container(
    deps: Containers, container: Container, *, volumes: bool = True
) -> None:
    """Remove a container that does not run; its lock is held or nobody else knows it."""
    if container.restart_timer:
        container.restart_timer.cancel()
    # Written down first: a removal that is cut off is finished by the next start.
    container.document["RemoveVolumes"] = volumes
    container.set_state(State.REMOVING)
    deps.save(container)
    deps.by_id.pop(container.id, None)
    deps.snapshots.remove(container.id)
    await deps.runtime.forget(container.id)
    directory = deps.settings.state / "containers" / container.id
    await asyncio.to_thread(discard_tree, directory)
    for plan in container.document["Plan"]:
        if volumes and plan.get("Anonymous"):
            await asyncio.to_thread(deps.volumes.remove_unused, plan["Name"])
    deps.table.delete(container.id)
    if deps.by_name.get(container.name) == container.id:
        del deps.by_name[container.name]
    for pending in container.waiting_attachments:
        if not pending.drop_if_gone():
            pending.take().sock.close()  # whoever waited to see it start is told by the end
    for exec_id in list(container.execs):
        deps.execs.pop(exec_id, None)
    deps.publish(container, "destroy")
    container.exited.set()
    container.next_exit.set()
    container.removed.set()

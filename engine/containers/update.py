"""Change limits and the restart policy, also while the container runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.containers import limits, options
from engine.containers.model import State
from engine.core.errors import Conflict, InvalidArgument

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.containers.model import Container

LIMITS = (
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "KernelMemoryTCP",
    "OomKillDisable",
    "CpuPeriod",
    "CpuQuota",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "NanoCpus",
    "PidsLimit",
)


async def update_container(
    deps: Containers, container: Container, body: dict[str, Any]
) -> list[str]:
    """Change what `body` sets; zero and empty mean "as it is". Return warnings.

    Raises: InvalidArgument · Conflict(the change contradicts what holds).
    """
    async with container.lock:
        if container.state in (State.REMOVING, State.DEAD):
            raise Conflict(
                f"Cannot update container {container.id}: Container is marked for removal and "
                'cannot be "update".'
            )
        document = container.document
        host = {**document["HostConfig"], **{key: body[key] for key in LIMITS if body.get(key)}}
        if body.get("PidsLimit") is not None:
            host["PidsLimit"] = body["PidsLimit"] or -1  # zero is "no limit" here
        _check_memory(document["HostConfig"], body, host)
        if (body.get("RestartPolicy") or {}).get("Name"):
            if host.get("AutoRemove"):
                raise InvalidArgument(
                    "Restart policy cannot be updated because AutoRemove is enabled for the "
                    "container"
                )
            host["RestartPolicy"] = {"MaximumRetryCount": 0, **body["RestartPolicy"]}
        warnings = limits.discard_unsupported(host, deps.runtime.group)
        options.restart_policy(host)
        resources = limits.resources(host)
        if container.running:
            await container.running.update(resources)
        document["HostConfig"] = host
        deps.save(container)
    deps.publish(container, "update")
    return warnings


def _check_memory(before: dict[str, Any], body: dict[str, Any], host: dict[str, Any]) -> None:
    memory, swap = host.get("Memory") or 0, host.get("MemorySwap") or 0
    if body.get("Memory") and not body.get("MemorySwap") and 0 < swap < memory:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the "
            "memoryswap at the same time"
        )
    if body.get("NanoCpus") and (before.get("CpuQuota") or before.get("CpuPeriod")):
        raise Conflict("Conflicting options: Nano CPUs cannot be updated as CPU Quota was set")

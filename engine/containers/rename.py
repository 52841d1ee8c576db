"""Rename."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.containers.networking import rename_on_networks
from engine.core.errors import InvalidArgument
from engine.core.ids import NAME

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.containers.model import Container


async def rename_container(deps: Containers, container: Container, name: str) -> None:
    """Give a container another name. Raises: InvalidArgument · Conflict(name in use)."""
    name = name.removeprefix("/")
    if not name:
        raise InvalidArgument("Neither old nor new names may be empty")
    if not NAME.fullmatch(name):
        raise InvalidArgument(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    async with container.lock:
        old = container.name
        if name == old:
            raise InvalidArgument("Renaming a container with the same name as its current name")
        deps.claim_name(name, container.id)
        container.document["Name"] = name
        rename_on_networks(deps, container)
        deps.save(container)
        deps.by_name.pop(old, None)
    deps.publish(container, "rename", oldName=f"/{old}")

"""What every verb on containers works with, and the containers themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.containers.model import Container, Exec
from engine.core.errors import Conflict, InvalidArgument, NotFound

if TYPE_CHECKING:
    from engine.config import Settings
    from engine.core.events import EventBus
    from engine.images.images import Images
    from engine.networks.networks import Networks
    from engine.networks.sandboxes import Sandboxes
    from engine.runtime.runtime import Runtime
    from engine.snapshots.overlay import Snapshots
    from engine.store.containers import ContainerTable
    from engine.volumes.volumes import Volumes


@dataclass
class Containers:
    """All containers of the engine, in memory, and the rooms below."""

    settings: Settings
    events: EventBus
    table: ContainerTable
    images: Images
    snapshots: Snapshots
    networks: Networks
    sandboxes: Sandboxes
    volumes: Volumes
    runtime: Runtime
    by_id: dict[str, Container] = field(default_factory=dict)
    by_name: dict[str, str] = field(default_factory=dict)
    execs: dict[str, Exec] = field(default_factory=dict)
    creating: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # plans, by ID
    _unsaved: set[str] = field(default_factory=set)

    def find(self, reference: str) -> Container:
        """Return the container that an ID, a name or the beginning of an ID means.

        Raises: NotFound.container · InvalidArgument(several begin so).
        """
        reference = reference.removeprefix("/")
        if container := self.by_id.get(reference):
            return container
        # A name is taken before its container is there and given back after it is gone.
        if found := self.by_id.get(self.by_name.get(reference, "")):
            return found
        if reference:
            matches = [item for key, item in self.by_id.items() if key.startswith(reference)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise InvalidArgument(f"Multiple IDs found with provided prefix: {reference}")
        raise NotFound.container(reference)

    def find_exec(self, exec_id: str) -> Exec:
        """Return an exec instance. Raises: NotFound."""
        try:
            return self.execs[exec_id]
        except KeyError:
            raise NotFound.exec_instance(exec_id) from None

    def claim_name(self, name: str, container_id: str) -> None:
        """Take a name. Raises: Conflict.name_in_use."""
        holder = self.by_name.get(name)
        if holder and holder != container_id:
            raise Conflict.name_in_use(name, holder)
        self.by_name[name] = container_id

    def cgroup_of(self, container: Container) -> str:
        """Return the name of a container's group below every hierarchy's root."""
        parent = str(container.host_config.get("CgroupParent") or "")
        return self.runtime.cgroup_of(container.id, parent)

    def save(self, container: Container) -> None:
        """Write a container's document down, and those that could not be written before.

        Raises: StoreFailed(disk full).
        """
        self._unsaved.add(container.id)
        for container_id in list(self._unsaved):
            waiting = self.by_id.get(container_id, container)
            self.table.save(waiting.id, waiting.name, waiting.document)
            self._unsaved.discard(container_id)

    def publish(self, container: Container, action: str, **attributes: str) -> None:
        """Tell what happened to a container."""
        self.events.publish("container", action, container.id, **container.attributes(**attributes))

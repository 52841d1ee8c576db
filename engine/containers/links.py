"""Links on the default bridge: another container's address by a name, and its variables.

Source: Docker's "legacy container links".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.containers.options import parse_port
from engine.core.errors import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.containers.deps import Containers
    from engine.containers.model import Container

_NOT_TOLD = ("HOME", "HOSTNAME", "PATH")


def _linked(deps: Containers, container: Container) -> Iterator[tuple[Container, str, str]]:
    """Yield (container, alias, address) of each link. Raises: NotFound · Conflict."""
    if container.host_config["NetworkMode"] != "bridge":
        return  # elsewhere a link is a name for the resolver
    for text in container.host_config.get("Links") or ():
        name, _, alias = text.partition(":")
        other = deps.find(name)
        alias = alias.rsplit("/", 1)[-1] or other.name
        if not other.is_running:
            raise Conflict(
                f"Cannot link to a non running container: /{other.name} AS "
                f"/{container.name}/{alias}"
            )
        address = other.document["NetworkSettings"].get("IPAddress") or ""
        if not address:
            raise Conflict(f"Cannot link to /{other.name}: it has no address on the default bridge")
        yield other, alias, address


def hosts(deps: Containers, container: Container) -> list[tuple[str, str]]:
    """Return (name, address) pairs for the hosts file."""
    pairs = []
    for other, alias, address in _linked(deps, container):
        names = dict.fromkeys((alias, other.config["Hostname"], other.name))
        pairs += [(name, address) for name in names]
    return pairs


def environment(deps: Containers, container: Container) -> list[str]:
    """Return the variables that tell of linked containers' ports and environments."""
    result = []
    for other, alias, address in _linked(deps, container):
        prefix = alias.replace("-", "_").upper()
        result.append(f"{prefix}_NAME=/{container.name}/{alias}")
        ports = sorted(map(parse_port, other.config.get("ExposedPorts") or ()))
        if ports:
            number, protocol = ports[0]
            result.append(f"{prefix}_PORT={protocol}://{address}:{number}")
        for number, protocol in ports:
            base = f"{prefix}_PORT_{number}_{protocol.upper()}"
            result += [
                f"{base}={protocol}://{address}:{number}",
                f"{base}_ADDR={address}",
                f"{base}_PORT={number}",
                f"{base}_PROTO={protocol}",
            ]
        for item in other.config.get("Env") or ():
            if item.partition("=")[0] not in _NOT_TOLD:
                result.append(f"{prefix}_ENV_{item}")
    return result


def aliases(deps: Containers) -> dict[str, list[str]]:
    """Return, by container name, the names that other containers' links give, "/parent/alias"."""
    found: dict[str, list[str]] = {}
    for parent in deps.by_id.values():
        for text in parent.host_config.get("Links") or ():
            name, _, alias = text.partition(":")
            other = deps.by_id.get(name)
            target = other.name if other else name.removeprefix("/")
            alias = alias.rsplit("/", 1)[-1] or target
            found.setdefault(target, []).append(f"/{parent.name}/{alias}")
    return found


def remove_link(deps: Containers, path: str) -> None:
    """Forget the link "parent/alias". Raises: NotFound(no such link)."""
    name, _, alias = path.removeprefix("/").partition("/")
    parent = deps.find(name)
    kept = [
        text
        for text in parent.host_config.get("Links") or ()
        if (text.partition(":")[2].rsplit("/", 1)[-1] or text.partition(":")[0]) != alias
    ]
    if len(kept) == len(parent.host_config.get("Links") or ()):
        raise NotFound(f"Cannot get parent /{name} for name /{path.removeprefix('/')}")
    parent.host_config["Links"] = kept
    deps.save(parent)

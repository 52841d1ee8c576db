"""Which volumes a list or a prune means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.errors import InvalidArgument
from engine.core.labels import has_label

if TYPE_CHECKING:
    from engine.volumes.model import Volume
    from engine.volumes.volumes import Volumes

_LIST = frozenset({"dangling", "driver", "label", "name"})
_PRUNE = frozenset({"label", "label!", "all"})


def truth(name: str, values: list[str]) -> bool:
    """Return what a filter of yes or no says. Raises: InvalidArgument."""
    if values and values[0] in ("1", "true", "True"):
        return True
    if values and values[0] in ("0", "false", "False"):
        return False
    raise InvalidArgument(f"invalid filter '{name}={values}'")


def matching(volumes: Volumes, filters: dict[str, list[str]]) -> list[Volume]:
    """Return the volumes that pass every filter. Raises: InvalidArgument(unknown filter)."""
    _check(filters, _LIST)
    found = volumes.all()
    for key, values in filters.items():
        match key:
            case "dangling":
                wanted = truth(key, values)
                found = [item for item in found if bool(volumes.users(item.name)) is not wanted]
            case "driver":
                found = found if "local" in values else []
            case "label":
                found = [item for item in found if all(has_label(item.labels, v) for v in values)]
            case _:
                found = [item for item in found if any(value in item.name for value in values)]
    return sorted(found, key=lambda item: item.name)


def prunable(volumes: Volumes, filters: dict[str, list[str]]) -> list[Volume]:
    """Return what a prune removes. Raises: InvalidArgument(unknown filter)."""
    _check(filters, _PRUNE)
    everything = "all" in filters and truth("all", filters["all"])
    found = [
        item
        for item in volumes.all()
        if (everything or item.anonymous) and not volumes.users(item.name)
    ]
    if "label" in filters:
        found = [i for i in found if all(has_label(i.labels, v) for v in filters["label"])]
    if "label!" in filters:
        found = [i for i in found if not any(has_label(i.labels, v) for v in filters["label!"])]
    return found


def _check(filters: dict[str, list[str]], known: frozenset[str]) -> None:
    for name in filters:
        if name not in known:
            raise InvalidArgument(f"invalid filter '{name}'")

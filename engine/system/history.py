"""Events as the API streams them: filtered, from the past and as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.core.errors import InvalidArgument

if TYPE_CHECKING:
    from engine.core.events import Event

_FILTERS = frozenset("type event container image network volume label daemon scope".split())


def check_filters(filters: dict[str, list[str]]) -> None:
    """Raise InvalidArgument for a filter that does not exist."""
    for name in filters:
        if name not in _FILTERS:
            raise InvalidArgument(f"invalid filter '{name}'")


def matches(event: Event, filters: dict[str, list[str]]) -> bool:
    """Tell whether an event passes every filter."""
    names = (event.id, event.attributes.get("name", ""))
    for key, values in filters.items():
        if key == "type":
            hit = event.type in values
        elif key == "event":
            hit = any(event.action == v or event.action.split(":")[0] == v for v in values)
        elif key == "label":
            pairs = {f"{k}={v}" for k, v in event.attributes.items()}
            hit = all(value in event.attributes or value in pairs for value in values)
        elif key == "scope":
            hit = "local" in values
        elif key == "image" and event.type == "container":
            image = event.attributes.get("image", "")
            hit = image in values or image.rpartition(":")[0] in values
        else:
            hit = event.type == key and any(
                value in names or event.id.startswith(value) for value in values
            )
        if not hit:
            return False
    return True


def to_json(event: Event) -> dict[str, Any]:
    """Return Docker's message, with the fields that older clients read."""
    message: dict[str, Any] = {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": event.attributes},
        "scope": "local",
        "time": event.time_ns // 1_000_000_000,
        "timeNano": event.time_ns,
    }
    if event.type in ("container", "image"):
        message |= {"status": event.action, "id": event.id}
    if event.type == "container":
        message["from"] = event.attributes.get("image", "")
    return message

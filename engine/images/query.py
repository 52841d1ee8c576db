"""Which images a prune means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.clock import parse, parse_since
from engine.core.errors import InvalidArgument
from engine.core.labels import has_label

if TYPE_CHECKING:
    from engine.images.images import Images
    from engine.images.model import Image

_PRUNE = frozenset({"dangling", "until", "label", "label!"})


def prunable(images: Images, filters: dict[str, list[str]]) -> list[Image]:
    """Return what a prune removes. Raises: InvalidArgument(filter)."""
    for name in filters:
        if name not in _PRUNE:
            raise InvalidArgument(f"invalid filter '{name}'")
    named_too = filters.get("dangling", ["true"])[:1] in (["false"], ["0"])
    newest = None
    if "until" in filters:
        try:
            newest = parse_since(filters["until"][0])
        except (ValueError, IndexError):
            raise InvalidArgument(f"invalid filter 'until={filters['until']}'") from None
    found = []
    for image in images.all():
        labels = (image.config.get("config") or {}).get("Labels") or {}
        if (
            not images.users(image.id)
            and (named_too or not image.names)
            and (newest is None or parse(image.created).timestamp() < newest)
            and all(has_label(labels, value) for value in filters.get("label", ()))
            and not any(has_label(labels, value) for value in filters.get("label!", ()))
        ):
            found.append(image)
    return found

"""An image as the engine remembers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Image:
    """One image for one platform.

    Shape: `config` is the OCI image config; `layers` are the digests of its blobs, base first;
           `names` and `digests` are full references that point at it.
    """

    id: str
    config: dict[str, Any]
    chain_ids: list[str]
    layers: list[str]
    size: int
    names: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)

    @property
    def chain_id(self) -> str | None:
        """Return the snapshot that holds the whole image; None without any layer."""
        return self.chain_ids[-1] if self.chain_ids else None

    @property
    def created(self) -> str:
        """Return when it was built."""
        return str(self.config.get("created") or "1970-01-01T00:00:00Z")

    def to_json(self) -> dict[str, Any]:
        """Return what the store keeps; names have rows of their own."""
        return {
            "config": self.config,
            "chain_ids": self.chain_ids,
            "layers": self.layers,
            "size": self.size,
        }

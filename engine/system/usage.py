"""Disk usage, as `docker system df` shows it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from engine.containers import query
from engine.core.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.containers.deps import Containers

KINDS = ("container", "image", "volume", "build-cache")


def disk_usage(deps: Containers, kinds: Collection[str]) -> dict[str, Any]:
    """Return what each kind occupies; no kinds are all of them. Raises: InvalidArgument."""
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidArgument(f"unknown object type: {kind}")
    wanted = kinds or KINDS
    result: dict[str, Any] = {}
    if "image" in wanted:
        result |= _images(deps)
    if "container" in wanted:
        rows = query.list_containers(deps, everything=True, limit=0, filters={})
        query.add_sizes(deps, rows)
        result["Containers"] = rows
    if "volume" in wanted:
        result["Volumes"] = [
            {
                **volume.to_json(),
                "UsageData": {
                    "Size": deps.volumes.size(volume),
                    "RefCount": len(deps.volumes.users(volume.name)),
                },
            }
            for volume in deps.volumes.all()
        ]
    if "build-cache" in wanted:
        result |= {"BuildCache": [], "BuilderSize": 0}
    return result


def _images(deps: Containers) -> dict[str, Any]:
    images = deps.images.all()
    shared = Counter(chain for image in images for chain in set(image.chain_ids))
    sizes = {chain: deps.snapshots.usage(chain) for chain in shared}
    users = Counter(item.document["Image"] for item in deps.by_id.values())
    rows = []
    for image in images:
        own = set(image.chain_ids)
        rows.append(
            {
                **deps.images.summary(image),
                "SharedSize": sum(sizes[chain] for chain in own if shared[chain] > 1),
                "Containers": users[image.id],
            }
        )
    return {"LayersSize": sum(sizes.values()), "Images": rows}

"""The images of the engine: kept in memory, written through to the store."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from engine.content.blobs import Content
from engine.core.clock import parse
from engine.core.digest import hex_of, is_hex, short
from engine.core.errors import Conflict, InvalidArgument, NotFound
from engine.core.reference import parse_reference
from engine.images.model import Image
from engine.store.images import ImageTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.config import Settings
    from engine.core.events import EventBus
    from engine.snapshots.overlay import Snapshots
    from engine.store.database import Database


class Images:
    """Finds, names, and removes images; pulling and loading have files of their own."""

    def __init__(
        self, settings: Settings, database: Database, events: EventBus, snapshots: Snapshots
    ) -> None:
        self.content = Content(settings.state / "content")
        self.snapshots = snapshots
        self.events = events
        self._table = ImageTable(database)
        self._images: dict[str, Image] = {}
        self._names: dict[str, str] = {}
        # Says which containers use an image, and whether they run; set by the daemon.
        self.users: Callable[[str], list[tuple[str, bool]]] = lambda _image_id: []
        self.pulls: dict[str, asyncio.Task[str]] = {}

    def open(self) -> None:
        """Read the store; drop blobs that no image names."""
        self.content.open()
        for image_id, document in self._table.all():
            self._images[image_id] = Image(image_id, **document)
        for name, image_id in self._table.names():
            self._point(name, image_id)
        self.content.sweep({digest for image in self._images.values() for digest in image.layers})

    def _point(self, name: str, image_id: str) -> None:
        old = self._names.get(name)
        if old and old in self._images:
            self._images[old].names.discard(name)
            self._images[old].digests.discard(name)
        self._names[name] = image_id
        image = self._images[image_id]
        (image.digests if "@" in name else image.names).add(name)

    def get(self, text: str) -> Image:
        """Return the image that a name, an ID or the beginning of one means.

        Raises: NotFound.image.
        """
        wanted = shown = text.removeprefix("sha256:")
        if f"sha256:{wanted}" in self._images:
            return self._images[f"sha256:{wanted}"]
        if not is_hex(wanted):
            try:
                reference = parse_reference(text).with_default_tag()
            except InvalidArgument:
                raise NotFound.image(text) from None
            shown = reference.familiar
            key = f"{reference.name}@{reference.digest}" if reference.digest else str(reference)
            if image_id := self._names.get(key):
                return self._images[image_id]
        found = [image for key, image in self._images.items() if hex_of(key).startswith(wanted)]
        if len(found) == 1 and len(wanted) >= 2:
            return found[0]
        raise NotFound.image(shown)

    def all(self) -> list[Image]:
        """Return every image, newest first."""
        return sorted(self._images.values(), key=lambda image: image.created, reverse=True)

    def layer_directories(self, image_id: str) -> list[str]:
        """Return the directories of an image's tree, topmost first. Raises: NotFound.image."""
        image = self.get(image_id)
        return self.snapshots.layers(image.chain_id) if image.chain_id else []

    def size_of(self, image_id: str) -> int:
        """Return an image's unpacked size, 0 when it is gone."""
        image = self._images.get(image_id)
        return image.size if image else 0

    def add(self, image: Image, names: list[str]) -> Image:
        """Remember an image whose layers are unpacked, and its names: the last step of a pull."""
        self._table.save(image.id, image.to_json(), names)
        image = self._images.setdefault(image.id, image)
        for name in names:
            self._point(name, image.id)
        return image

    def tag(self, source: str, repository: str, tag: str) -> None:
        """Give an image another name. Raises: NotFound.image · InvalidArgument."""
        image = self.get(source)
        reference = parse_reference(f"{repository}:{tag}" if tag else repository)
        if reference.digest:
            raise InvalidArgument("refusing to create a tag with a digest reference")
        name = str(reference.with_default_tag())
        self.add(image, [name])
        self.events.publish("image", "tag", image.id, name=familiar(name))

    def remove(self, text: str, *, force: bool) -> list[dict[str, str]]:
        """Take a name away, and the image with its last name.

        Raises: NotFound.image · Conflict(containers use it, several names).
        """
        image = self.get(text)
        users = self.users(image.id)
        is_id = image.id.removeprefix("sha256:").startswith(text.removeprefix("sha256:"))
        if not is_id:
            reference = parse_reference(text).with_default_tag()
            name = f"{reference.name}@{reference.digest}" if reference.digest else str(reference)
            if len(image.names | image.digests) > 1 and not self._last_name(image, name):
                return [self._untag(image, name)]
            if users and not force:
                raise Conflict(
                    f'conflict: unable to remove repository reference "{text}" (must force) - '
                    f"container {users[0][0][:12]} is using its referenced image "
                    f"{short(image.id)}"
                )
        elif len({parse_reference(name).name for name in image.names}) > 1 and not force:
            raise Conflict(
                f"conflict: unable to delete {short(image.id)} (must be forced) - image is "
                "referenced in multiple repositories"
            )
        for user, running in users:
            if running:
                if not is_id and force:
                    return [self._untag(image, name) for name in sorted(image.names)]
                raise Conflict(
                    f"conflict: unable to delete {short(image.id)} (cannot be forced) - image is "
                    f"being used by running container {user[:12]}"
                )
            if not force:
                raise Conflict(
                    f"conflict: unable to delete {short(image.id)} (must be forced) - image is "
                    f"being used by stopped container {user[:12]}"
                )
        names = sorted(image.names) + sorted(image.digests)
        result = [self._untag(image, name) for name in names]
        if users:  # stopped containers keep the layers they stand on
            return result
        return [*result, *self._delete(image)]

    def _last_name(self, image: Image, name: str) -> bool:
        """Tell whether what is left without `name` is at most the digest it was pulled by."""
        return not (image.names - {name})

    def _untag(self, image: Image, name: str) -> dict[str, str]:
        self._table.delete_name(name)
        self._names.pop(name, None)
        image.names.discard(name)
        image.digests.discard(name)
        self.events.publish("image", "untag", image.id, name=image.id)
        return {"Untagged": familiar(name)}

    def _delete(self, image: Image) -> list[dict[str, str]]:
        self._table.delete(image.id)
        del self._images[image.id]
        self.events.publish("image", "delete", image.id, name=image.id)
        result = [{"Deleted": image.id}]
        kept = {chain for other in self._images.values() for chain in other.chain_ids}
        for chain_id in reversed(image.chain_ids):
            if chain_id not in kept:
                try:
                    self.snapshots.remove(chain_id)
                except Conflict:  # a container of an image that was untagged by force
                    break
                result.append({"Deleted": chain_id})
        layers = {digest for other in self._images.values() for digest in other.layers}
        for digest in image.layers:
            if digest not in layers:
                self.content.path(digest).unlink(missing_ok=True)
        return result

    def summary(self, image: Image) -> dict[str, Any]:
        """Return the row of `docker images`."""
        tags = sorted(familiar(name) for name in image.names)
        return {
            "Id": image.id,
            "ParentId": "",
            "RepoTags": tags,
            "RepoDigests": sorted(familiar(name) for name in image.digests),
            "Created": int(parse(image.created).timestamp()),
            "Size": image.size,
            "SharedSize": -1,
            "VirtualSize": image.size,
            "Labels": (image.config.get("config") or {}).get("Labels") or {},
            "Containers": len(self.users(image.id)),
        }

    def inspect(self, image: Image) -> dict[str, Any]:
        """Return Docker's full description."""
        config = image.config
        return {
            "Id": image.id,
            "RepoTags": sorted(familiar(name) for name in image.names),
            "RepoDigests": sorted(familiar(name) for name in image.digests),
            "Parent": "",
            "Comment": "",
            "Created": image.created,
            "DockerVersion": "",
            "Author": config.get("author") or "",
            "Config": config.get("config") or {},
            "Architecture": config.get("architecture") or "",
            "Variant": config.get("variant") or "",
            "Os": config.get("os") or "linux",
            "Size": image.size,
            "VirtualSize": image.size,
            "GraphDriver": {"Name": "overlay2", "Data": {}},
            "RootFS": {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]},
            "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        }

    def history(self, image: Image) -> list[dict[str, Any]]:
        """Return the rows of `docker history`, newest first."""
        sizes = [self.snapshots.usage(chain_id) for chain_id in image.chain_ids]
        rows = []
        for entry in image.config.get("history") or ():
            size = 0 if entry.get("empty_layer") or not sizes else sizes.pop(0)
            rows.append(
                {
                    "Id": "<missing>",
                    "Created": int(parse(entry.get("created") or image.created).timestamp()),
                    "CreatedBy": entry.get("created_by") or "",
                    "Tags": None,
                    "Size": size,
                    "Comment": entry.get("comment") or "",
                }
            )
        rows.reverse()
        if rows:
            rows[0] |= {"Id": image.id, "Tags": sorted(familiar(name) for name in image.names)}
        return rows


def familiar(name: str) -> str:
    """Return a stored name as people write it."""
    return parse_reference(name).familiar


def parse_config(data: bytes) -> dict[str, Any]:
    """Read an image config. Raises: InvalidArgument(not one)."""
    try:
        config = json.loads(data)
        diff_ids = config["rootfs"]["diff_ids"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"invalid image config: {error}") from error
    if not isinstance(diff_ids, list):
        raise InvalidArgument("invalid image config: diff_ids is no list")
    return config  # type: ignore[no-any-return]

"""Commit: a container's changes as the topmost layer of a new image."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from engine.containers.archive import layer
from engine.containers.model import State
from engine.core import clock
from engine.core.digest import chain_ids, digest_of
from engine.core.errors import InvalidArgument
from engine.core.oci_platform import OciPlatform
from engine.core.reference import parse_reference
from engine.images.instructions import apply_instructions
from engine.images.layers import unpack_layer
from engine.images.model import Image

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.containers.model import Container


async def commit_container(
    deps: Containers,
    container: Container,
    *,
    name: str | None,
    comment: str,
    author: str,
    pause: bool,
    changes: list[str],
    given: dict[str, Any],
) -> Image:
    """Make an image of a container; `name` may be None, `given` is a Config that wins.

    Raises: InvalidArgument(name, instruction). After: on failure there is no image.
    """
    reference = parse_reference(name).with_default_tag() if name else None
    if reference and reference.digest:
        raise InvalidArgument("cannot commit to digest reference")
    config = apply_instructions(_merged(given, container.config), changes)
    base = deps.images.get(container.document["Image"])
    running = container.running
    freeze = pause and running is not None and container.state is State.RUNNING
    if freeze and running:
        await running.pause()
    try:
        digest = await _store_layer(deps, container)
    finally:
        if freeze and running:
            await running.unpause()
    diff_ids = [*base.config["rootfs"]["diff_ids"], digest]
    chain = chain_ids(diff_ids)
    if not deps.snapshots.has(chain[-1]):
        path = deps.images.content.path(digest)
        await unpack_layer(deps.images, path, diff_ids, len(diff_ids) - 1)
    command = " ".join([container.document["Path"], *container.document["Args"]])
    entry = {"created": clock.stamp(), "created_by": command, "comment": comment, "author": author}
    same = ("architecture", "os", "variant")
    document: dict[str, Any] = {
        **{key: base.config[key] for key in same if key in base.config},
        "created": entry["created"],
        "author": author,
        "comment": comment,
        "container": container.id,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [
            *(base.config.get("history") or ()),
            {key: value for key, value in entry.items() if value},
        ],
    }
    document.setdefault("architecture", OciPlatform.host().architecture)
    document.setdefault("os", "linux")
    image_id = digest_of(json.dumps(document).encode())
    size = sum(deps.snapshots.usage(chain_id) for chain_id in chain)
    image = Image(image_id, document, chain, [*base.layers, digest], size)
    image = deps.images.add(image, [str(reference)] if reference else [])
    shown = {"imageID": image.id, "comment": comment}
    if reference:
        shown["imageRef"] = reference.familiar
    deps.publish(container, "commit", **shown)
    deps.events.publish("image", "create", image.id, name=image.id)
    return image


async def _store_layer(deps: Containers, container: Container) -> str:
    """Write the changes into the content store; return the layer's digest."""
    with deps.images.content.write() as ingest:
        async with layer(deps, container) as tree:
            async for piece in tree.pieces():
                await asyncio.to_thread(ingest.write, piece)
        return ingest.commit()


def _merged(given: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return what is given, with the container's own config where it says nothing."""
    result = {key: value for key, value in own.items() if key not in ("Hostname", "Domainname")}
    for key in ("AttachStdin", "AttachStdout", "AttachStderr", "OpenStdin", "StdinOnce", "Tty"):
        result.pop(key, None)
    for key in ("Image", "MacAddress", "NetworkDisabled"):
        result.pop(key, None)
    for key in ("Labels", "ExposedPorts", "Volumes"):
        both = {**(result.get(key) or {}), **(given.get(key) or {})}
        result[key] = both or None
    named = {item.partition("=")[0] for item in given.get("Env") or ()}
    kept = [item for item in result.get("Env") or () if item.partition("=")[0] not in named]
    result["Env"] = [*(given.get("Env") or ()), *kept]
    for key in ("User", "Cmd", "Entrypoint", "WorkingDir", "Healthcheck", "StopSignal", "Shell"):
        if given.get(key):
            result[key] = given[key]
    return {key: value for key, value in result.items() if value is not None}

"""Pull: index → manifest → config and blobs → snapshots → the name, last."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from engine.core import descriptor
from engine.core.descriptor import Descriptor, Manifest, choose_manifest
from engine.core.digest import chain_ids, short
from engine.core.errors import DataLoss, EngineError, InvalidArgument, NotFound, Unsupported
from engine.core.oci_platform import OciPlatform
from engine.images.images import Images, parse_config
from engine.images.layers import unpack_layer
from engine.images.model import Image
from engine.registry.client import MAXIMUM_MANIFEST, Credentials, Repository

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.core.reference import Reference

    Progress = Callable[[dict[str, Any]], Awaitable[None]]

DOWNLOADS = 4
INTERVAL = 0.1  # seconds between progress lines of one layer


async def pull_image(
    images: Images,
    reference: Reference,
    platform: OciPlatform | None,
    credentials: Credentials | None,
    progress: Progress,
) -> Image:
    """Bring an image here and name it.

    Raises: NotFound · Unavailable · DataLoss · Unsupported.
    After: on failure no name points at anything new, and whole blobs stay for the next try.
    """
    reference = reference.with_default_tag()
    name = str(reference)
    async with Repository(reference, credentials) as repository:
        digest, manifest = await _find_manifest(repository, reference, platform)
        label = reference.tag or reference.selector
        await progress({"status": f"Pulling from {reference.path}", "id": label})
        config = await _read_config(images, repository, manifest.config)
        diff_ids = config["rootfs"]["diff_ids"]
        if len(diff_ids) != len(manifest.layers):
            raise InvalidArgument("the image's config and manifest name different layers")
        known = images.get(manifest.config.digest) if _has(images, manifest.config.digest) else None
        await _fetch_layers(images, repository, manifest, diff_ids, progress)
    chain = chain_ids(diff_ids)
    size = sum(images.snapshots.usage(chain_id) for chain_id in chain)
    layers = [layer.digest for layer in manifest.layers]
    names = [f"{reference.name}@{digest}"] + ([name] if reference.tag else [])
    fresh = known is None or not set(names) <= (known.names | known.digests)
    image = images.add(Image(manifest.config.digest, config, chain, layers, size), names)
    await progress({"status": f"Digest: {digest}"})
    if fresh:
        await progress({"status": f"Status: Downloaded newer image for {reference.familiar}"})
    else:
        await progress({"status": f"Status: Image is up to date for {reference.familiar}"})
    images.events.publish("image", "pull", reference.familiar, name=reference.familiar_name)
    return image


def _has(images: Images, image_id: str) -> bool:
    try:
        images.get(image_id)
    except NotFound:
        return False
    return True


async def _find_manifest(
    repository: Repository, reference: Reference, platform: OciPlatform | None
) -> tuple[str, Manifest]:
    digest, data, kind = await repository.manifest(reference.selector)
    document = _parse(data)
    kind = document.get("mediaType") or kind
    if kind in descriptor.SCHEMA_1 or document.get("schemaVersion") == 1:
        raise Unsupported(
            "Docker Image Format v1 and Docker Image manifest version 2, schema 1 are not supported"
        )
    if kind in descriptor.INDEXES or "manifests" in document:
        wanted = platform or OciPlatform.host()
        chosen = choose_manifest(document, wanted)
        if chosen is None:
            raise NotFound(f"no matching manifest for {wanted} in the manifest list entries")
        _, data, _ = await repository.manifest(chosen.digest)
        document = _parse(data)
    return digest, Manifest.from_json(document)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise InvalidArgument(f"invalid manifest: {error}") from error
    if not isinstance(document, dict):
        raise InvalidArgument("invalid manifest: not an object")
    return document


async def _read_config(images: Images, repository: Repository, blob: Descriptor) -> dict[str, Any]:
    async def ignore(_size: int) -> None:
        return

    if blob.size > MAXIMUM_MANIFEST:
        raise InvalidArgument("the image's config is larger than 4 MiB")
    with images.content.write() as ingest:
        await repository.fetch(blob, ingest, ignore)
        if ingest.digest() != blob.digest:
            raise DataLoss(f"config verification failed for digest {blob.digest}")
        data = ingest.path.read_bytes()
    return parse_config(data)


async def _fetch_layers(
    images: Images,
    repository: Repository,
    manifest: Manifest,
    diff_ids: list[str],
    progress: Progress,
) -> None:
    chain = chain_ids(diff_ids)
    slots = asyncio.Semaphore(DOWNLOADS)

    async def one(index: int) -> None:
        layer = manifest.layers[index]
        shown = short(layer.digest)
        if images.snapshots.has(chain[index]):
            await progress({"status": "Already exists", "progressDetail": {}, "id": shown})
            return
        await progress({"status": "Pulling fs layer", "progressDetail": {}, "id": shown})
        if "foreign" in layer.media_type or "nondistributable" in layer.media_type:
            raise Unsupported(f"layer {shown} may not be distributed by registries")
        if not images.content.has(layer.digest):
            async with slots:
                await _download(images, repository, layer, progress)
        await progress({"status": "Download complete", "progressDetail": {}, "id": shown})
        detail = {"current": layer.size, "total": layer.size}
        await progress({"status": "Extracting", "progressDetail": detail, "id": shown})
        await unpack_layer(images, images.content.path(layer.digest), diff_ids, index)
        await progress({"status": "Pull complete", "progressDetail": {}, "id": shown})

    try:
        async with asyncio.TaskGroup() as group:
            for index in range(len(diff_ids)):
                group.create_task(one(index))
    except ExceptionGroup as failures:
        # The first cause is what the client is told; the rest follow from its cancelling them.
        cause = failures.exceptions[0]
        raise cause if isinstance(cause, EngineError) else failures from None


async def _download(
    images: Images, repository: Repository, layer: Descriptor, progress: Progress
) -> None:
    shown = short(layer.digest)
    told = 0.0

    async def tell(size: int) -> None:
        nonlocal told
        moment = time.monotonic()
        if moment - told >= INTERVAL or size == layer.size:
            told = moment
            detail = {"current": size, "total": layer.size}
            await progress({"status": "Downloading", "progressDetail": detail, "id": shown})

    with images.content.write() as ingest:
        await repository.fetch(layer, ingest, tell)
        await progress({"status": "Verifying Checksum", "progressDetail": {}, "id": shown})
        ingest.commit(layer.digest)

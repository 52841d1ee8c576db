"""Load: images from an archive, in Docker's own format or as an OCI layout."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.core.descriptor import Manifest, choose_manifest
from engine.core.digest import chain_ids, digest_of, hex_of, parse_digest
from engine.core.errors import EngineError, InvalidArgument
from engine.core.oci_platform import OciPlatform
from engine.core.reference import parse_reference
from engine.core.tars import BoundedEntry
from engine.images.images import Images, familiar, parse_config
from engine.images.layers import unpack_all
from engine.images.model import Image

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Progress = Callable[[dict[str, Any]], Awaitable[None]]


async def load_archive(images: Images, archive: Path, progress: Progress) -> list[Image]:
    """Load every image of a tar file.

    Raises: InvalidArgument(no archive of images) · DataLoss.
    """
    with tempfile.TemporaryDirectory(dir=images.content.ingest) as name:
        directory = Path(name)
        await asyncio.to_thread(_extract, archive, directory)
        if (directory / "manifest.json").exists():
            entries = await asyncio.to_thread(_docker_entries, directory)
        elif (directory / "index.json").exists():
            entries = await asyncio.to_thread(_oci_entries, directory)
        else:
            raise InvalidArgument("invalid archive: does not contain a manifest.json or index.json")
        result = []
        for config_path, layer_paths, names in entries:
            result.append(await _load_one(images, config_path, layer_paths, names, progress))
        return result


def _extract(archive: Path, directory: Path) -> None:
    """Take the plain files out of the archive; nothing else in it can matter.

    Links stand for layers that several images share: they become second names of the file.
    """
    links: list[tuple[Path, Path]] = []
    try:
        with tarfile.open(archive, "r:*", tarinfo=BoundedEntry) as tar:
            for member in tar:
                path = _place(directory, member.name)
                if member.isreg() and (source := tar.extractfile(member)):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        shutil.copyfileobj(source, file, 1024 * 1024)
                elif member.issym():
                    above = os.path.dirname(member.name)
                    links.append((path, _place(directory, f"{above}/{member.linkname}")))
                elif member.islnk():
                    links.append((path, _place(directory, member.linkname)))
        for path, target in links:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(target, path)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidArgument(f"invalid archive: {error}") from error


def _place(directory: Path, name: str) -> Path:
    path = os.path.normpath(name)
    if path.startswith(("/", "../")) or path == "..":
        raise InvalidArgument(f"invalid archive: {name[:100]!r} leads out of it")
    return directory / path


def _inside(directory: Path, name: object) -> Path:
    path = (directory / str(name)).resolve()
    if not path.is_relative_to(directory.resolve()) or not path.is_file():
        raise InvalidArgument(f"invalid archive: {str(name)[:100]!r} is not in it")
    return path


def _docker_entries(directory: Path) -> list[tuple[Path, list[Path], list[str]]]:
    try:
        manifest = json.loads((directory / "manifest.json").read_bytes())
        return [
            (
                _inside(directory, entry["Config"]),
                [_inside(directory, layer) for layer in entry["Layers"]],
                list(entry.get("RepoTags") or ()),
            )
            for entry in manifest
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"invalid manifest.json: {error}") from error


def _oci_entries(directory: Path) -> list[tuple[Path, list[Path], list[str]]]:
    def blob(digest: str) -> Path:
        return _inside(directory, f"blobs/sha256/{hex_of(parse_digest(digest))}")

    try:
        index = json.loads((directory / "index.json").read_bytes())
        result = []
        for entry in index["manifests"]:
            document = json.loads(blob(entry["digest"]).read_bytes())
            if "manifests" in document:
                chosen = choose_manifest(document, OciPlatform.host())
                if chosen is None:
                    continue
                document = json.loads(blob(chosen.digest).read_bytes())
            manifest = Manifest.from_json(document)
            notes = entry.get("annotations") or {}
            name = notes.get("io.containerd.image.name") or notes.get(
                "org.opencontainers.image.ref.name"
            )
            layers = [blob(layer.digest) for layer in manifest.layers]
            result.append((blob(manifest.config.digest), layers, [name] if name else []))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"invalid index.json: {error}") from error
    return result


async def _load_one(
    images: Images, config_path: Path, layers: list[Path], names: list[str], progress: Progress
) -> Image:
    data = config_path.read_bytes()
    config = parse_config(data)
    diff_ids = [parse_digest(value) for value in config["rootfs"]["diff_ids"]]
    if len(diff_ids) != len(layers):
        raise InvalidArgument("invalid archive: config and manifest name different layers")
    full = [str(parse_reference(name).with_default_tag()) for name in names]

    async def done(index: int) -> None:
        await progress(
            {"status": "Loading layer", "progressDetail": {}, "id": diff_ids[index][7:19]}
        )

    try:
        await unpack_all(images, layers, diff_ids, done)
    except ExceptionGroup as failures:
        cause = failures.exceptions[0]
        raise cause if isinstance(cause, EngineError) else failures from None
    blobs = []
    for layer in layers:
        os.chmod(layer, 0o600)
        blobs.append((await asyncio.to_thread(images.content.adopt, layer))[0])
    chain = chain_ids(diff_ids)
    size = sum(images.snapshots.usage(chain_id) for chain_id in chain)
    image = images.add(Image(digest_of(data), config, chain, blobs, size), full)
    for name in full:
        await progress({"stream": f"Loaded image: {familiar(name)}\n"})
    if not full:
        await progress({"stream": f"Loaded image ID: {image.id}\n"})
    images.events.publish("image", "load", image.id, name=image.id)
    return image

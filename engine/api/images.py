"""Routes of images."""

from __future__ import annotations

import asyncio
import fnmatch
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from engine.api.errors import answer, status_of
from engine.api.keys import SERVICES, flag, json_response
from engine.api.streams import JsonStream, read_filters
from engine.core.clock import parse_since
from engine.core.errors import Conflict, EngineError, InvalidArgument, NotFound, Unsupported
from engine.core.oci_platform import OciPlatform
from engine.core.reference import parse_reference
from engine.images.images import familiar
from engine.images.load import load_archive
from engine.images.pull import pull_image
from engine.images.query import prunable
from engine.registry.client import Credentials
from engine.system.usage import disk_usage

if TYPE_CHECKING:
    from engine.images.images import Images
    from engine.images.model import Image

routes = web.RouteTableDef()


def _images(request: web.Request) -> Images:
    return request.app[SERVICES].images


@routes.post("/images/create")
async def post_create(request: web.Request) -> web.StreamResponse:
    """Pull."""
    if request.query.get("fromSrc"):
        raise Unsupported("importing a filesystem is not supported by this engine yet")
    name, tag = request.query.get("fromImage") or "", request.query.get("tag") or ""
    if not name:
        raise InvalidArgument("invalid reference format")
    if tag:
        name += f"@{tag}" if tag.startswith("sha256:") else f":{tag}"
    reference = parse_reference(name)
    platform = request.query.get("platform")
    wanted = OciPlatform.parse(platform) if platform else None
    credentials = Credentials.from_header(request.headers.get("X-Registry-Auth"))
    lines = JsonStream(request)
    work = asyncio.ensure_future(
        pull_image(_images(request), reference, wanted, credentials, lines.send)
    )
    try:
        await work
    except EngineError as error:
        if not lines.begun:
            return answer(status_of(error), str(error))
        await lines.send({"errorDetail": {"message": str(error)}, "error": str(error)})
    except ConnectionResetError:
        # The client hung up: what it alone waited for ends with it.
        work.cancel()
        raise
    return await lines.end()


@routes.post("/images/load")
async def post_load(request: web.Request) -> web.StreamResponse:
    """Load an archive."""
    images = _images(request)
    lines = JsonStream(request)
    with tempfile.NamedTemporaryFile(dir=images.content.ingest) as file:
        async for data in request.content.iter_chunked(1024 * 1024):
            await asyncio.to_thread(file.write, data)
        file.flush()
        try:
            await load_archive(images, Path(file.name), lines.send)
        except EngineError as error:
            if not lines.begun:
                raise
            await lines.send({"errorDetail": {"message": str(error)}, "error": str(error)})
    return await lines.end()


@routes.get("/images/json")
async def get_images(request: web.Request) -> web.Response:
    """List."""
    images = _images(request)
    found = images.all()
    for key, values in read_filters(request).items():
        found = [image for image in found if _matches(images, image, key, values)]
    return json_response([images.summary(image) for image in found])


def _matches(images: Images, image: Image, key: str, values: list[str]) -> bool:
    labels = (image.config.get("config") or {}).get("Labels") or {}
    match key:
        case "reference":
            names = [familiar(name) for name in image.names]
            patterns = [value if ":" in value else f"{value}:*" for value in values]
            return any(fnmatch.fnmatchcase(name, p) for name in names for p in patterns)
        case "dangling":
            return (not image.names) is (values[0] in ("1", "true"))
        case "label":
            pairs = {f"{k}={v}" for k, v in labels.items()}
            return all(value in labels or value in pairs for value in values)
        case "before":
            return image.created < images.get(values[0]).created
        case "since":
            return image.created > images.get(values[0]).created
        case "until":
            return bool(images.summary(image)["Created"] < parse_since(values[0]))
        case _:
            raise InvalidArgument(f"invalid filter '{key}'")


@routes.get("/images/{name:.+}/json")
async def get_inspect(request: web.Request) -> web.Response:
    """Inspect."""
    images = _images(request)
    return json_response(images.inspect(images.get(request.match_info["name"])))


@routes.get("/images/{name:.+}/history")
async def get_history(request: web.Request) -> web.Response:
    """Show the history."""
    images = _images(request)
    return json_response(images.history(images.get(request.match_info["name"])))


@routes.post("/images/{name:.+}/tag")
async def post_tag(request: web.Request) -> web.Response:
    """Tag."""
    repository, tag = request.query.get("repo") or "", request.query.get("tag") or ""
    _images(request).tag(request.match_info["name"], repository, tag)
    return web.Response(status=201)


@routes.post("/images/prune")
async def post_prune(request: web.Request) -> web.Response:
    """Remove images without a name that no container uses, or, when asked, all unused ones."""
    services = request.app[SERVICES]
    filters = read_filters(request)
    found = prunable(services.images, filters)
    before = await asyncio.to_thread(disk_usage, services.containers, ("image",))
    removed = []
    for image in found:
        try:
            names = sorted(image.names | image.digests) or [image.id]
            for name in names:
                removed += await asyncio.to_thread(services.images.remove, name, force=False)
        except (Conflict, NotFound):
            continue  # somebody uses it by now, or was faster
    after = await asyncio.to_thread(disk_usage, services.containers, ("image",))
    freed = before["LayersSize"] - after["LayersSize"]
    services.events.publish("image", "prune", "", reclaimed=str(freed))
    return json_response({"ImagesDeleted": removed or None, "SpaceReclaimed": freed})


@routes.delete("/images/{name:.+}")
async def delete_image(request: web.Request) -> web.Response:
    """Remove a name or an image."""
    images, name = _images(request), request.match_info["name"]
    return json_response(images.remove(name, force=flag(request, "force")))

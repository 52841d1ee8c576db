"""Routes of volumes, and of the files in them."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from engine.api.keys import SERVICES, flag, json_response
from engine.api.shapes import check_volume
from engine.api.streams import read_filters, read_json
from engine.api.versions import version_of
from engine.core.errors import Conflict, InvalidArgument, NotFound, Unavailable
from engine.runtime.files import Tree, run_tree
from engine.volumes.model import check_driver
from engine.volumes.query import matching, prunable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

routes = web.RouteTableDef()


@routes.get("/volumes")
async def get_volumes(request: web.Request) -> web.Response:
    """List."""
    found = matching(request.app[SERVICES].volumes, read_filters(request))
    return json_response({"Volumes": [volume.to_json() for volume in found], "Warnings": None})


@routes.post("/volumes/create")
async def post_volume(request: web.Request) -> web.Response:
    """Create, or return the one of that name."""
    body = await read_json(request)
    check_volume(body)
    check_driver(body.get("Driver") or "")
    if body.get("ClusterVolumeSpec"):
        raise Unavailable("this node is not a swarm manager: it has no cluster volumes")
    name = body.get("Name") or None
    volume = await asyncio.to_thread(
        request.app[SERVICES].volumes.ensure,
        name,
        body.get("Labels") or {},
        options=body.get("DriverOpts") or {},
    )
    return json_response(volume.to_json(), status=201)


@routes.post("/volumes/prune")
async def post_prune(request: web.Request) -> web.Response:
    """Remove what no container uses: anonymous ones, or all of them when asked."""
    services = request.app[SERVICES]
    volumes, filters = services.volumes, read_filters(request)
    if version_of(request) < (1, 42):
        filters.setdefault("all", ["true"])
    removed, freed = [], 0
    for volume in prunable(volumes, filters):
        size = max(0, await asyncio.to_thread(volumes.size, volume))
        try:
            await asyncio.to_thread(volumes.remove, volume.name)
        except (Conflict, NotFound):
            continue  # somebody uses it by now, or was faster
        freed += size
        removed.append(volume.name)
    services.events.publish("volume", "prune", "", reclaimed=str(freed))
    return json_response({"VolumesDeleted": removed, "SpaceReclaimed": freed})


@routes.get("/volumes/{name}")
async def get_volume(request: web.Request) -> web.Response:
    """Inspect."""
    return json_response(request.app[SERVICES].volumes.get(request.match_info["name"]).to_json())


@routes.put("/volumes/{name}")
async def put_volume(request: web.Request) -> web.Response:
    """Refuse: only the volumes of a Swarm can be updated."""
    request.app[SERVICES].volumes.get(request.match_info["name"])
    raise Unavailable("this node is not a swarm manager: it has no cluster volumes")


@routes.delete("/volumes/{name}")
async def delete_volume(request: web.Request) -> web.Response:
    """Remove."""
    volumes, name = request.app[SERVICES].volumes, request.match_info["name"]
    try:
        await asyncio.to_thread(volumes.remove, name)
    except NotFound:
        if not flag(request, "force"):
            raise
    return web.Response(status=204)


# What the Docker Engine has no route for: files without a helper container.


@asynccontextmanager
async def _files(request: web.Request, operation: str, **more: object) -> AsyncIterator[Tree]:
    """Yield the helper at work on a volume, which is mounted meanwhile."""
    volumes = request.app[SERVICES].volumes
    volume = volumes.get(request.match_info["name"])
    user = secrets.token_hex(8)
    path = request.query.get("path") or "/"
    await asyncio.to_thread(volumes.mount, volume.name, user)
    try:
        call = {"op": operation, "directory": volume.mountpoint, "path": path, **more}
        async with run_tree(call, f"volume {volume.name}") as tree:
            yield tree
    finally:
        await asyncio.to_thread(volumes.unmount, volume.name, user)


@routes.get("/hythe/volumes/{name}/files")
async def get_files(request: web.Request) -> web.Response:
    """List a directory."""
    async with _files(request, "list") as tree:
        await tree.answer()
        return json_response({"Entries": await tree.rest()})


@routes.get("/hythe/volumes/{name}/file", allow_head=False)
async def get_file(request: web.Request) -> web.StreamResponse:
    """Read one file."""
    async with _files(request, "read") as tree:
        await tree.answer()
        return await _send(request, tree, "application/octet-stream")


@routes.put("/hythe/volumes/{name}/file")
async def put_file(request: web.Request) -> web.Response:
    """Write one file, whole or not at all."""
    async with _files(request, "write") as tree:
        await tree.feed(request.content.iter_any())
    return web.Response(status=204)


@routes.delete("/hythe/volumes/{name}/file")
async def delete_file(request: web.Request) -> web.Response:
    """Remove a file, or a directory with all in it."""
    if not request.query.get("path"):
        raise InvalidArgument("path is missing")
    async with _files(request, "remove") as tree:
        await tree.answer()
    return web.Response(status=204)


@routes.post("/hythe/volumes/{name}/directory")
async def post_directory(request: web.Request) -> web.Response:
    """Make a directory, with those above it."""
    async with _files(request, "make") as tree:
        await tree.answer()
    return web.Response(status=201)


@routes.get("/hythe/volumes/{name}/archive", allow_head=False)
async def get_archive(request: web.Request) -> web.StreamResponse:
    """Back a volume, or a part of it, up as a tar stream."""
    async with _files(request, "get") as tree:
        await tree.answer()
        return await _send(request, tree, "application/x-tar")


@routes.put("/hythe/volumes/{name}/archive")
async def put_archive(request: web.Request) -> web.Response:
    """Restore from a tar stream; with `clear` everything else goes first."""
    more = {"keep_kinds": False, "user": None, "read_only": False, "clear": flag(request, "clear")}
    async with _files(request, "put", **more) as tree:
        await tree.feed(request.content.iter_any())
    return web.Response(status=204)


async def _send(request: web.Request, tree: Tree, kind: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(request)
    async for data in tree.pieces():
        await response.write(data)
    await response.write_eof()
    return response

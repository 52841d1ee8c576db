"""Routes of volumes."""

from __future__ import annotations

import asyncio

from aiohttp import web

from engine.api.keys import SERVICES, flag, json_response
from engine.api.streams import read_filters, read_json
from engine.core.errors import InvalidArgument, NotFound, Unsupported

routes = web.RouteTableDef()


@routes.get("/volumes")
async def get_volumes(request: web.Request) -> web.Response:
    """List."""
    volumes = request.app[SERVICES].volumes
    rows = volumes.all()
    for key, values in read_filters(request).items():
        match key:
            case "name":
                rows = [row for row in rows if any(value in row.name for value in values)]
            case "driver":
                rows = rows if "local" in values else []
            case "label":
                rows = [row for row in rows if all(_labelled(row.labels, v) for v in values)]
            case "dangling":
                wanted = values[0] in ("1", "true")
                rows = [row for row in rows if bool(volumes.users(row.name)) is not wanted]
            case _:
                raise InvalidArgument(f"invalid filter '{key}'")
    return json_response({"Volumes": [row.to_json() for row in rows], "Warnings": None})


def _labelled(labels: dict[str, str], wanted: str) -> bool:
    key, separator, value = wanted.partition("=")
    return key in labels and (not separator or labels[key] == value)


@routes.post("/volumes/create")
async def post_volume(request: web.Request) -> web.Response:
    """Create."""
    body = await read_json(request)
    if body.get("Driver") not in (None, "", "local"):
        raise NotFound(f"create: error looking up volume plugin {body['Driver']}: not found")
    if body.get("DriverOpts"):
        raise Unsupported("options of the local volume driver are not supported by this engine yet")
    volumes = request.app[SERVICES].volumes
    volume = volumes.ensure(body.get("Name") or None, body.get("Labels") or {})
    return json_response(volume.to_json(), status=201)


@routes.get("/volumes/{name}")
async def get_volume(request: web.Request) -> web.Response:
    """Inspect."""
    return json_response(request.app[SERVICES].volumes.get(request.match_info["name"]).to_json())


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

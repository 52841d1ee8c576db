"""Routes of networks."""

from __future__ import annotations

from aiohttp import web

from engine.api.keys import SERVICES, json_response
from engine.api.streams import read_filters
from engine.core.errors import InvalidArgument, Unsupported

routes = web.RouteTableDef()


@routes.get("/networks")
async def get_networks(request: web.Request) -> web.Response:
    """List."""
    rows = request.app[SERVICES].networks.all()
    for key, values in read_filters(request).items():
        match key:
            case "name":
                rows = [row for row in rows if any(value in row["Name"] for value in values)]
            case "id":
                rows = [row for row in rows if any(row["Id"].startswith(v) for v in values)]
            case "driver":
                rows = [row for row in rows if row["Driver"] in values]
            case "type":
                rows = rows if "builtin" in values else []
            case "scope":
                rows = [row for row in rows if row["Scope"] in values]
            case "label":
                rows = []
            case _:
                raise InvalidArgument(f"invalid filter '{key}'")
    return json_response(rows)


@routes.get("/networks/{ref}")
async def get_network(request: web.Request) -> web.Response:
    """Inspect."""
    return json_response(request.app[SERVICES].networks.describe(request.match_info["ref"]))


@routes.post("/networks/create")
async def post_network(request: web.Request) -> web.Response:
    """Refuse: only the default networks exist so far."""
    del request
    raise Unsupported("user-defined networks are not supported by this engine yet")

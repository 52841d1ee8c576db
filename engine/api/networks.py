"""Routes of networks."""

from __future__ import annotations

import asyncio

from aiohttp import web

from engine.api.keys import SERVICES, flag, json_response
from engine.api.shapes import check_connect, check_network
from engine.api.streams import read_filters, read_json
from engine.containers.networking import connect_container, disconnect_container
from engine.core.errors import EngineError, Forbidden, NotFound
from engine.networks.query import describe, matching, prunable

routes = web.RouteTableDef()


@routes.get("/networks")
async def get_networks(request: web.Request) -> web.Response:
    """List."""
    services = request.app[SERVICES]
    found = matching(services.networks, services.sandboxes, read_filters(request))
    return json_response(
        [describe(network, services.sandboxes, containers=False) for network in found]
    )


@routes.get("/networks/{ref}")
async def get_network(request: web.Request) -> web.Response:
    """Inspect."""
    services = request.app[SERVICES]
    if request.query.get("scope") not in (None, "", "local"):
        raise NotFound.network(request.match_info["ref"])
    network = services.networks.get(request.match_info["ref"])
    shown = describe(network, services.sandboxes)
    if flag(request, "verbose"):
        shown["Services"] = {}
    return json_response(shown)


@routes.post("/networks/create")
async def post_network(request: web.Request) -> web.Response:
    """Create."""
    body = await read_json(request)
    check_network(body)
    network = await asyncio.to_thread(request.app[SERVICES].networks.create, body)
    return json_response({"Id": network.id, "Warning": ""}, status=201)


@routes.post("/networks/prune")
async def post_prune(request: web.Request) -> web.Response:
    """Remove every network of users that no running container is on."""
    services = request.app[SERVICES]
    removed = []
    for network in prunable(services.networks, services.sandboxes, read_filters(request)):
        if services.sandboxes.on(network):
            continue  # a container came meanwhile
        try:
            await services.networks.remove(network, [])
        except (Forbidden, NotFound):
            continue  # somebody was faster
        removed.append(network.name)
    services.events.publish("network", "prune", "", reclaimed="0")
    return json_response({"NetworksDeleted": removed or None})


@routes.delete("/networks/{ref}")
async def delete_network(request: web.Request) -> web.Response:
    """Remove."""
    services = request.app[SERVICES]
    network = services.networks.get(request.match_info["ref"])
    users = [
        (sandbox.name, endpoint.endpoint_id) for sandbox, endpoint in services.sandboxes.on(network)
    ]
    await services.networks.remove(network, users)
    return web.Response(status=204)


@routes.post("/networks/{ref}/connect")
async def post_connect(request: web.Request) -> web.Response:
    """Put a container on it."""
    services = request.app[SERVICES]
    body = await read_json(request)
    check_connect(body)
    network = services.networks.get(request.match_info["ref"])
    container = services.containers.find(body.get("Container") or "")
    given = body.get("EndpointConfig") or {}
    await connect_container(services.containers, container, network, given)
    return web.Response(status=200)


@routes.post("/networks/{ref}/disconnect")
async def post_disconnect(request: web.Request) -> web.Response:
    """Take a container off it; `Force` takes no container's absence for an error."""
    services = request.app[SERVICES]
    body = await read_json(request)
    check_connect(body)
    network = services.networks.get(request.match_info["ref"])
    try:
        container = services.containers.find(body.get("Container") or "")
        await disconnect_container(services.containers, container, network)
    except EngineError:
        if not body.get("Force"):
            raise
    return web.Response(status=200)

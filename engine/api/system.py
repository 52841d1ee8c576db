"""Routes of the engine as a whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from engine.api.keys import API_VERSION, SERVICES, json_response
from engine.api.streams import JsonStream, read_filters, while_connected
from engine.core.clock import parse_since
from engine.core.errors import InvalidArgument
from engine.system import history
from engine.system.info import info, version
from engine.system.usage import disk_usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.core.events import Event, EventBus

routes = web.RouteTableDef()


@routes.get("/_ping", allow_head=False)
@routes.head("/_ping")
async def get_ping(request: web.Request) -> web.Response:
    """Say that the engine lives, and which API it speaks."""
    headers = {"Cache-Control": "no-cache, no-store, must-revalidate", "Builder-Version": "1"}
    headers["Api-Version"] = API_VERSION
    text = "" if request.method == "HEAD" else "OK"
    return web.Response(text=text, headers=headers)


@routes.get("/version")
async def get_version(request: web.Request) -> web.Response:
    """Tell the version."""
    del request
    return json_response(version())


@routes.get("/info")
async def get_info(request: web.Request) -> web.Response:
    """Tell about engine and machine."""
    services = request.app[SERVICES]
    engine_id = services.settings.instance
    return json_response(info(services.settings, services.containers, engine_id))


@routes.get("/system/df")
async def get_disk_usage(request: web.Request) -> web.Response:
    """Tell what occupies the disk."""
    kinds = request.query.getall("type", [])
    containers = request.app[SERVICES].containers
    return json_response(await asyncio.to_thread(disk_usage, containers, kinds))


@routes.post("/build/prune")
async def post_build_prune(request: web.Request) -> web.Response:
    """Remove what builds left for the next ones: nothing, as nothing is built yet."""
    del request
    return json_response({"CachesDeleted": [], "SpaceReclaimed": 0})


@routes.get("/events")
async def get_events(request: web.Request) -> web.StreamResponse:
    """Stream events."""
    bus = request.app[SERVICES].events
    filters = read_filters(request)
    history.check_filters(filters)
    since = _moment(request, "since")
    until = _moment(request, "until")

    def wanted(event: Event) -> bool:
        seconds = event.time_ns / 1e9
        inside = (since is None or seconds >= since) and (until is None or seconds <= until)
        return inside and history.matches(event, filters)

    return await while_connected(request, _send_events(request, bus, wanted, since, until))


async def _send_events(
    request: web.Request,
    bus: EventBus,
    wanted: Callable[[Event], bool],
    since: float | None,
    until: float | None,
) -> web.StreamResponse:
    lines = JsonStream(request)
    with bus.subscribe() as queue:
        await lines.start()
        for event in bus.history() if since is not None else ():
            if wanted(event):
                await lines.send(history.to_json(event))
        while True:
            left = None if until is None else until - _now()
            if left is not None and left <= 0:
                break
            try:
                news = await asyncio.wait_for(queue.get(), left)
            except TimeoutError:
                break
            if news is None:
                break
            if wanted(news):
                await lines.send(history.to_json(news))
    return await lines.end()


def _moment(request: web.Request, name: str) -> float | None:
    text = request.query.get(name)
    if not text:
        return None
    try:
        return parse_since(text)
    except ValueError:
        raise InvalidArgument(f"invalid value for {name}: {text!r}") from None


def _now() -> float:
    return parse_since("0s")

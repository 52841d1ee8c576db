"""Routes of exec."""

from __future__ import annotations

import asyncio

from aiohttp import web

from engine.api.keys import SERVICES, json_response
from engine.api.shapes import check_exec, check_size
from engine.api.streams import MULTIPLEXED, RAW, TakenOver, detach_keys, frame, read_json
from engine.api.versions import version_of
from engine.containers.execs import create_exec, inspect_exec, start_exec
from engine.containers.model import Verb
from engine.core.errors import Conflict, EngineError, InvalidArgument

routes = web.RouteTableDef()


@routes.post("/containers/{ref}/exec")
async def post_create_exec(request: web.Request) -> web.Response:
    """Create an exec instance."""
    deps = request.app[SERVICES].containers
    container = deps.find(request.match_info["ref"])
    body = await read_json(request)
    check_exec(body)
    instance = create_exec(deps, container, body)
    return json_response({"Id": instance.id}, status=201)


@routes.post("/exec/{id}/start")
async def post_start_exec(request: web.Request) -> web.StreamResponse:
    """Start it, detached or on the client's own connection."""
    deps = request.app[SERVICES].containers
    instance = deps.find_exec(request.match_info["id"])
    body = await read_json(request)
    check_exec(body)
    # The size that a client gives when it starts the exec counts for more than the one before.
    size = (body.get("Tty") and body.get("ConsoleSize")) or instance.config.get("ConsoleSize")
    console = (int(size[0]), int(size[1])) if size and size[0] and size[1] else None
    if body.get("Detach"):
        await start_exec(deps, instance, (), console)
        return web.Response(status=200)
    if instance.started:
        raise Conflict(f"Error: Exec command {instance.id} has already run")
    instance.container.require(Verb.EXEC)
    config = instance.config
    # What the client says now tells how it reads, whatever the process has.
    terminal = bool(body.get("Tty"))
    keys = detach_keys(config.get("DetachKeys"))
    modern = not terminal and version_of(request) >= (1, 42)
    taken = TakenOver(request, MULTIPLEXED if modern else RAW)
    attachment = taken.attachment(
        stdin=bool(config.get("AttachStdin")),
        stdout=bool(config.get("AttachStdout")),
        stderr=bool(config.get("AttachStderr")),
        framed=not terminal,
        keys=keys,
    )
    try:
        await start_exec(deps, instance, (attachment,), console)
    except EngineError as error:
        # The status is long out, so the client reads the reason where the output would be.
        text = f"{error}\r\n".encode()
        attachment.sock.setblocking(True)
        await asyncio.to_thread(attachment.sock.sendall, text if terminal else frame(1, text))
    finally:
        attachment.sock.close()
    return taken.response()


@routes.post("/exec/{id}/resize")
async def post_resize_exec(request: web.Request) -> web.Response:
    """Set its terminal's size."""
    instance = request.app[SERVICES].containers.find_exec(request.match_info["id"])
    try:
        rows, columns = int(request.query["h"]), int(request.query["w"])
    except (KeyError, ValueError):
        raise InvalidArgument("h and w must be numbers") from None
    check_size(rows, columns)
    if instance.running is None or instance.exit_code is not None:
        raise Conflict(f"exec {instance.id} is not running")
    await instance.running.resize(rows, columns)
    return web.Response(status=200)


@routes.get("/exec/{id}/json")
async def get_exec(request: web.Request) -> web.Response:
    """Inspect it."""
    instance = request.app[SERVICES].containers.find_exec(request.match_info["id"])
    return json_response(inspect_exec(instance))

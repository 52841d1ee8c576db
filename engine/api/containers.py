"""Routes of containers: parse, one call, format."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from engine.api.keys import SERVICES, flag, json_response
from engine.api.streams import (
    MULTIPLEXED,
    RAW,
    JsonStream,
    Pending,
    TakenOver,
    read_filters,
    read_json,
)
from engine.containers import query
from engine.containers.create import create_container
from engine.containers.logs import LogQuery, read_logs
from engine.containers.model import Verb
from engine.containers.remove import remove_container
from engine.containers.rename import rename_container
from engine.containers.start import start_container
from engine.containers.stop import (
    kill_container,
    pause_container,
    restart_container,
    stop_container,
    unpause_container,
)
from engine.containers.update import update_container
from engine.core.clock import parse_since
from engine.core.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.containers.model import Container

routes = web.RouteTableDef()
INTERVAL = 1.0  # seconds between readings of a stats stream


def _deps(request: web.Request) -> Containers:
    return request.app[SERVICES].containers


def _container(request: web.Request) -> Container:
    return _deps(request).find(request.match_info["ref"])


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"invalid value for {name}: {text!r}") from None


@routes.get("/containers/json")
async def get_containers(request: web.Request) -> web.Response:
    """List."""
    rows = query.list_containers(
        _deps(request),
        everything=flag(request, "all"),
        limit=_number(request, "limit") or 0,
        filters=read_filters(request),
        size=flag(request, "size"),
    )
    return json_response(rows)


@routes.post("/containers/create")
async def post_create(request: web.Request) -> web.Response:
    """Create."""
    body = await read_json(request)
    container, warnings = await asyncio.shield(
        create_container(_deps(request), request.query.get("name"), body)
    )
    return json_response({"Id": container.id, "Warnings": warnings}, status=201)


@routes.get("/containers/{ref}/json")
async def get_inspect(request: web.Request) -> web.Response:
    """Inspect."""
    size = flag(request, "size")
    return json_response(query.inspect_container(_deps(request), _container(request), size=size))


@routes.post("/containers/{ref}/start")
async def post_start(request: web.Request) -> web.Response:
    """Start."""
    await start_container(_deps(request), _container(request))
    return web.Response(status=204)


@routes.post("/containers/{ref}/stop")
async def post_stop(request: web.Request) -> web.Response:
    """Stop."""
    seconds, signal = _number(request, "t"), request.query.get("signal")
    await stop_container(_deps(request), _container(request), seconds, signal)
    return web.Response(status=204)


@routes.post("/containers/{ref}/restart")
async def post_restart(request: web.Request) -> web.Response:
    """Restart."""
    seconds, signal = _number(request, "t"), request.query.get("signal")
    await restart_container(_deps(request), _container(request), seconds, signal)
    return web.Response(status=204)


@routes.post("/containers/{ref}/kill")
async def post_kill(request: web.Request) -> web.Response:
    """Send a signal."""
    await kill_container(_deps(request), _container(request), request.query.get("signal"))
    return web.Response(status=204)


@routes.post("/containers/{ref}/pause")
async def post_pause(request: web.Request) -> web.Response:
    """Pause."""
    await pause_container(_deps(request), _container(request))
    return web.Response(status=204)


@routes.post("/containers/{ref}/unpause")
async def post_unpause(request: web.Request) -> web.Response:
    """Unpause."""
    await unpause_container(_deps(request), _container(request))
    return web.Response(status=204)


@routes.post("/containers/{ref}/update")
async def post_update(request: web.Request) -> web.Response:
    """Change limits."""
    container = _container(request)
    warnings = await update_container(_deps(request), container, await read_json(request))
    return json_response({"Warnings": warnings})


@routes.post("/containers/{ref}/rename")
async def post_rename(request: web.Request) -> web.Response:
    """Rename."""
    await rename_container(_deps(request), _container(request), request.query.get("name") or "")
    return web.Response(status=204)


@routes.post("/containers/{ref}/resize")
async def post_resize(request: web.Request) -> web.Response:
    """Set the terminal's size."""
    container = _container(request)
    container.require(Verb.RESIZE)
    if container.running:
        await container.running.resize(_number(request, "h") or 0, _number(request, "w") or 0)
    return web.Response(status=200)


@routes.delete("/containers/{ref}")
async def delete_container(request: web.Request) -> web.Response:
    """Remove."""
    if flag(request, "link"):
        raise InvalidArgument("links are not supported by this engine")
    await remove_container(
        _deps(request),
        _container(request),
        force=flag(request, "force"),
        volumes=flag(request, "v"),
    )
    return web.Response(status=204)


@routes.post("/containers/prune")
async def post_prune(request: web.Request) -> web.Response:
    """Remove every container that does not run."""
    deps, filters = _deps(request), read_filters(request)
    until = parse_since(filters.pop("until")[0]) if "until" in filters else None
    labels = {"label": filters.pop("label")} if "label" in filters else {}
    if filters:
        raise InvalidArgument(f"invalid filter '{next(iter(filters))}'")
    states = ["created", "exited", "dead"]
    rows = query.list_containers(
        deps, everything=True, limit=0, filters={"status": states, **labels}, size=True
    )
    freed, deleted = 0, []
    for row in rows:
        if until is None or row["Created"] < until:
            await remove_container(deps, deps.find(row["Id"]), force=False, volumes=False)
            freed += row["SizeRw"]
            deleted.append(row["Id"])
    return json_response({"ContainersDeleted": deleted, "SpaceReclaimed": freed})


@routes.post("/containers/{ref}/wait")
async def post_wait(request: web.Request) -> web.StreamResponse:
    """Wait for an exit; the headers go out at once, for the CLI starts only after them."""
    container = _container(request)
    condition = request.query.get("condition") or "not-running"
    events = {
        "not-running": container.exited,
        "next-exit": container.next_exit,
        "removed": container.removed,
    }
    if condition not in events:
        raise InvalidArgument(f'invalid condition: "{condition}"')
    if condition == "next-exit":
        container.next_exit.clear()
    stream = JsonStream(request)
    await stream.start()
    if condition != "not-running" or container.is_running:
        await events[condition].wait()
    state = container.document["State"]
    await stream.send({"StatusCode": state["ExitCode"]})
    return await stream.end()


@routes.post("/containers/{ref}/attach")
async def post_attach(request: web.Request) -> web.StreamResponse:
    """Attach the client's connection to the container's streams."""
    deps, container = _deps(request), _container(request)
    terminal = bool(container.config.get("Tty"))
    wish = {name: flag(request, name) for name in ("stdin", "stdout", "stderr")}
    modern = not terminal and request.match_info.get("version", "1.51") >= "1.42"
    taken = TakenOver(request, MULTIPLEXED if modern else RAW)
    if flag(request, "logs"):
        async for piece in read_logs(
            container, LogQuery(stdout=wish["stdout"], stderr=wish["stderr"])
        ):
            await asyncio.to_thread(taken.send, piece)
    deps.publish(container, "attach")
    if flag(request, "stream"):
        if container.running:
            attachment = taken.attachment(**wish)
            try:
                await container.running.attach(attachment)
            finally:
                attachment.sock.close()
        else:
            container.waiting_attachments.append(Pending(lambda: taken.attachment(**wish)))
            return taken.detached()
    return taken.response()


@routes.get("/containers/{ref}/logs")
async def get_logs(request: web.Request) -> web.StreamResponse:
    """Read or follow the log."""
    container = _container(request)
    if not (flag(request, "stdout") or flag(request, "stderr")):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    if not container.document["LogPath"]:
        raise NotFound("configured logging driver does not support reading")
    tail = request.query.get("tail") or "all"
    since, until = request.query.get("since"), request.query.get("until")
    try:
        wanted = LogQuery(
            stdout=flag(request, "stdout"),
            stderr=flag(request, "stderr"),
            follow=flag(request, "follow"),
            since=parse_since(since) if since else 0,
            until=parse_since(until) if until and until != "0" else 0,
            tail=int(tail) if tail.isdigit() else None,
            timestamps=flag(request, "timestamps"),
        )
    except ValueError as error:
        raise InvalidArgument(f"invalid value for since or until: {error}") from error
    kind = RAW if container.config.get("Tty") else MULTIPLEXED
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(request)
    async for piece in read_logs(container, wanted):
        await response.write(piece)
    await response.write_eof()
    return response


@routes.get("/containers/{ref}/top")
async def get_top(request: web.Request) -> web.Response:
    """Show the processes."""
    return json_response(query.top(_container(request), request.query.get("ps_args") or ""))


@routes.get("/containers/{ref}/stats")
async def get_stats(request: web.Request) -> web.StreamResponse:
    """Show figures, once or every second."""
    container = _container(request)
    stream = flag(request, "stream", default=True)
    once = flag(request, "one-shot")

    def read(earlier: dict[str, Any] | None) -> dict[str, Any]:
        running = container.running
        return query.stats_row(container, running.stats() if running else None, earlier)

    row = read(None)
    if not stream:
        if not once and container.running:
            await asyncio.sleep(INTERVAL)
            row = read(row)
        return json_response(row)
    lines = JsonStream(request)
    await lines.send(row)
    while container.id in _deps(request).by_id:
        try:
            await asyncio.wait_for(container.removed.wait(), INTERVAL)
        except TimeoutError:
            row = read(row)
            await lines.send(row)
    return await lines.end()

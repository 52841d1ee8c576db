"""Routes of containers: parse, one call, format."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from engine.api.keys import SERVICES, flag, json_response
from engine.api.shapes import check_create, check_host_config, check_size
from engine.api.streams import (
    MULTIPLEXED,
    RAW,
    JsonStream,
    Pending,
    TakenOver,
    bridge,
    detach_keys,
    read_filters,
    read_json,
    while_connected,
)
from engine.api.versions import adapt_create, adapt_inspect, version_of
from engine.containers import archive, query
from engine.containers.commit import commit_container
from engine.containers.create import create_container
from engine.containers.links import remove_link
from engine.containers.logs import LogQuery, read_logs
from engine.containers.model import Verb
from engine.containers.remove import remove_container
from engine.containers.rename import rename_container
from engine.containers.sampler import read_once
from engine.containers.start import start_container
from engine.containers.stop import (
    kill_container,
    pause_container,
    restart_container,
    stop_container,
    unpause_container,
)
from engine.containers.update import update_container
from engine.core.clock import parse_since_ns, stamp_ns
from engine.core.errors import Conflict, InvalidArgument, NotFound, Unsupported
from engine.runtime.files import Tree
from engine.runtime.runtime import Attachment

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.containers.model import Container

routes = web.RouteTableDef()


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
    filters, limit = read_filters(request), _number(request, "limit") or 0
    for name in ("since", "before"):  # their own parameters until version 1.24
        if name in request.query:
            filters[name] = [request.query[name]]
    rows = query.list_containers(
        _deps(request), everything=flag(request, "all"), limit=limit, filters=filters
    )
    if flag(request, "size"):
        await asyncio.to_thread(query.add_sizes, _deps(request), rows)
    return json_response(rows)


@routes.post("/containers/create")
async def post_create(request: web.Request) -> web.Response:
    """Create."""
    body = await read_json(request)
    check_create(body)
    body = adapt_create(version_of(request), body)
    container, warnings = await asyncio.shield(
        create_container(
            _deps(request), request.query.get("name"), body, request.query.get("platform") or ""
        )
    )
    return json_response({"Id": container.id, "Warnings": warnings}, status=201)


@routes.get("/containers/{ref}/json")
async def get_inspect(request: web.Request) -> web.Response:
    """Inspect."""
    deps, container = _deps(request), _container(request)
    document = await asyncio.to_thread(
        query.inspect_container, deps, container, size=flag(request, "size")
    )
    return json_response(adapt_inspect(version_of(request), document))


@routes.post("/containers/{ref}/start")
async def post_start(request: web.Request) -> web.Response:
    """Start."""
    detach_keys(request.query.get("detachKeys"))  # the client's own affair, but judged here
    await start_container(_deps(request), _container(request))
    return web.Response(status=204)


def _stop_signal(request: web.Request) -> str | None:
    return request.query.get("signal") if version_of(request) >= (1, 42) else None


@routes.post("/containers/{ref}/stop")
async def post_stop(request: web.Request) -> web.Response:
    """Stop."""
    seconds, signal = _number(request, "t"), _stop_signal(request)
    await stop_container(_deps(request), _container(request), seconds, signal)
    return web.Response(status=204)


@routes.post("/containers/{ref}/restart")
async def post_restart(request: web.Request) -> web.Response:
    """Restart."""
    seconds, signal = _number(request, "t"), _stop_signal(request)
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
    body = await read_json(request)
    check_host_config(body)
    warnings = await update_container(_deps(request), container, body)
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
    rows, columns = _number(request, "h"), _number(request, "w")
    if rows is None or columns is None:
        raise InvalidArgument("h and w must be numbers")
    check_size(rows, columns)
    if container.running:
        await container.running.resize(rows, columns)
        _deps(request).publish(container, "resize", height=str(rows), width=str(columns))
    return web.Response(status=200)


@routes.delete("/containers/{ref:.+}")
async def delete_container(request: web.Request) -> web.Response:
    """Remove."""
    if flag(request, "link"):
        remove_link(_deps(request), request.match_info["ref"])
        return web.Response(status=204)
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
    deps = _deps(request)
    rows = query.prunable(deps, read_filters(request))
    await asyncio.to_thread(query.add_sizes, deps, rows)
    freed, deleted = 0, []
    for row in rows:
        # One that was started meanwhile is no longer meant.
        with contextlib.suppress(Conflict, NotFound):
            await remove_container(deps, deps.find(row["Id"]), force=False, volumes=False)
            freed += row["SizeRw"]
            deleted.append(row["Id"])
    deps.events.publish("container", "prune", "", reclaimed=str(freed))
    return json_response({"ContainersDeleted": deleted or None, "SpaceReclaimed": freed})


@routes.post("/containers/{ref}/wait")
async def post_wait(request: web.Request) -> web.StreamResponse:
    """Wait for an exit; the headers go out at once, for the CLI starts only after them."""
    container = _container(request)
    condition = request.query.get("condition") or "not-running"
    if version_of(request) < (1, 30):
        condition = "not-running"
    events = {
        "not-running": container.exited,
        "next-exit": container.next_exit,
        "removed": container.removed,
    }
    if condition not in events:
        raise InvalidArgument(f'invalid condition: "{condition}"')
    if condition == "next-exit":
        container.next_exit.clear()
    return await while_connected(request, _wait(request, container, condition, events[condition]))


async def _wait(
    request: web.Request, container: Container, condition: str, event: asyncio.Event
) -> web.StreamResponse:
    stream = JsonStream(request)
    await stream.start()
    if condition != "not-running" or container.document["State"]["Running"]:
        await event.wait()
    state = container.document["State"]
    await stream.send({"StatusCode": state["ExitCode"]})
    return await stream.end()


@routes.post("/containers/{ref}/attach")
async def post_attach(request: web.Request) -> web.StreamResponse:
    """Attach the client's connection to the container's streams."""
    deps, container = _deps(request), _container(request)
    terminal = bool(container.config.get("Tty"))
    wish = {name: flag(request, name) for name in ("stdin", "stdout", "stderr")}
    keys = detach_keys(request.query.get("detachKeys"))
    container.require(Verb.ATTACH)
    modern = not terminal and version_of(request) >= (1, 42)
    taken = TakenOver(request, MULTIPLEXED if modern else RAW)
    if flag(request, "logs") and container.document["LogPath"]:
        async for piece in read_logs(
            container, LogQuery(stdout=wish["stdout"], stderr=wish["stderr"])
        ):
            await asyncio.to_thread(taken.send, piece)
    deps.publish(container, "attach")
    if flag(request, "stream"):
        if container.running:
            attachment = taken.attachment(**wish, framed=not terminal, keys=keys)
            try:
                await container.running.attach(attachment)
            finally:
                attachment.sock.close()
        else:
            make = partial(taken.attachment, **wish, framed=not terminal, keys=keys)
            waiting = [item for item in container.waiting_attachments if not item.drop_if_gone()]
            container.waiting_attachments = [*waiting, Pending(taken, make)]
            return taken.detached()
    return taken.response()


@routes.get("/containers/{ref}/attach/ws")
async def get_attach_websocket(request: web.Request) -> web.StreamResponse:
    """Attach a websocket to the container's streams, without frames around the output."""
    deps, container = _deps(request), _container(request)
    container.require(Verb.ATTACH)
    if container.running is None and not flag(request, "logs"):
        raise Conflict(f"container {container.id} is not running")
    wish = {name: flag(request, name) for name in ("stdin", "stdout", "stderr")}
    keys = detach_keys(request.query.get("detachKeys"))
    ours, theirs = socket.socketpair()
    deps.publish(container, "attach")
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    try:
        if flag(request, "logs") and container.document["LogPath"]:
            wanted = LogQuery(stdout=wish["stdout"], stderr=wish["stderr"])
            async for piece in read_logs(container, wanted, framed=False):
                await websocket.send_bytes(piece)
        if flag(request, "stream") and container.running:
            attachment = Attachment(
                theirs,
                wish["stdin"],
                wish["stdout"],
                wish["stderr"],
                detach_keys=keys,
                framed=False,
            )
            await container.running.attach(attachment)
            theirs.close()
            await bridge(websocket, ours, text=version_of(request) < (1, 28))
    finally:
        ours.close()
        theirs.close()
    await websocket.close()
    return websocket


def _moment(text: str | None) -> str:
    return stamp_ns(parse_since_ns(text)) if text and text != "0" else ""


@routes.get("/containers/{ref}/logs")
async def get_logs(request: web.Request) -> web.StreamResponse:
    """Read or follow the log."""
    container = _container(request)
    if not (flag(request, "stdout") or flag(request, "stderr")):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    if not container.document["LogPath"]:
        raise Unsupported("configured logging driver does not support reading")
    tail = request.query.get("tail") or "all"
    since, until = request.query.get("since"), request.query.get("until")
    try:
        wanted = LogQuery(
            stdout=flag(request, "stdout"),
            stderr=flag(request, "stderr"),
            follow=flag(request, "follow"),
            since=_moment(since),
            until=_moment(until),
            tail=int(tail) if tail.isdigit() else None,
            timestamps=flag(request, "timestamps"),
            details=flag(request, "details"),
        )
    except ValueError as error:
        raise InvalidArgument(f"invalid value for since or until: {error}") from error
    return await while_connected(request, _send_logs(request, container, wanted))


async def _send_logs(
    request: web.Request, container: Container, wanted: LogQuery
) -> web.StreamResponse:
    kind = RAW if container.config.get("Tty") else MULTIPLEXED
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(request)
    async with contextlib.aclosing(read_logs(container, wanted)) as pieces:
        async for piece in pieces:
            await response.write(piece)
    await response.write_eof()
    return response


@routes.get("/containers/{ref}/top")
async def get_top(request: web.Request) -> web.Response:
    """Show the processes."""
    arguments = request.query.get("ps_args") or "-ef"
    rows = await asyncio.to_thread(query.top, _container(request), arguments)
    _deps(request).publish(_container(request), "top")
    return json_response(rows)


@routes.get("/containers/{ref}/stats")
async def get_stats(request: web.Request) -> web.StreamResponse:
    """Show figures, once or every second."""
    container = _container(request)
    if not flag(request, "stream", default=True):
        pair = not flag(request, "one-shot")
        return json_response(await read_once(container, pair=pair))
    if flag(request, "one-shot"):
        raise InvalidArgument("cannot have stream=true and one-shot=true")
    return await while_connected(request, _send_stats(request, container))


async def _send_stats(request: web.Request, container: Container) -> web.StreamResponse:
    lines = JsonStream(request)
    async with contextlib.aclosing(request.app[SERVICES].sampler.watch(container)) as rows:
        async for row in rows:
            await lines.send(row)
    return await lines.end()


@routes.get("/hythe/stats")
async def get_all_stats(request: web.Request) -> web.Response:
    """Show the figures of every running container at once: an extension of the API."""
    return json_response(await request.app[SERVICES].sampler.all())


@routes.get("/containers/{ref}/changes")
async def get_changes(request: web.Request) -> web.Response:
    """Tell what differs from the image."""
    rows = await archive.changed(_deps(request), _container(request))
    return json_response(rows or None)


@routes.get("/containers/{ref}/export")
async def get_export(request: web.Request) -> web.StreamResponse:
    """Send the whole root as a tar stream."""
    async with archive.export(_deps(request), _container(request)) as tree:
        return await _send_tar(request, tree, {})


@routes.head("/containers/{ref}/archive")
async def head_archive(request: web.Request) -> web.Response:
    """Describe a path inside."""
    found = await archive.stat_path(_deps(request), _container(request), _path(request))
    return web.Response(headers=_path_stat(found))


@routes.get("/containers/{ref}/archive", allow_head=False)
async def get_archive(request: web.Request) -> web.StreamResponse:
    """Send a path inside as a tar stream."""
    path = _path(request)
    async with archive.read_archive(_deps(request), _container(request), path) as (found, tree):
        return await _send_tar(request, tree, _path_stat(found))


@routes.put("/containers/{ref}/archive")
async def put_archive(request: web.Request) -> web.Response:
    """Unpack a tar stream into a directory inside."""
    await archive.write_archive(
        _deps(request),
        _container(request),
        _path(request),
        request.content.iter_chunked(1 << 18),
        keep_kinds=flag(request, "noOverwriteDirNonDir"),
        copy_owner=flag(request, "copyUIDGID"),
    )
    return web.Response(status=200)


def _path(request: web.Request) -> str:
    path = request.query.get("path") or ""
    if not path or "\0" in path:
        raise InvalidArgument("Bad parameters: path cannot be empty")
    return path


def _path_stat(found: dict[str, Any]) -> dict[str, str]:
    text = base64.b64encode(json.dumps(found).encode()).decode()
    return {"X-Docker-Container-Path-Stat": text}


async def _send_tar(
    request: web.Request, tree: Tree, headers: dict[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-tar", **headers})
    await response.prepare(request)
    async for piece in tree.pieces():
        await response.write(piece)
    await response.write_eof()
    return response


@routes.post("/commit")
async def post_commit(request: web.Request) -> web.Response:
    """Make an image of a container."""
    values = request.query
    deps = _deps(request)
    container = deps.find(values.get("container") or "")
    repository, tag = values.get("repo") or "", values.get("tag") or ""
    name = f"{repository}:{tag}" if repository and tag else repository or None
    given = await read_json(request)
    check_create(given)
    image = await commit_container(
        deps,
        container,
        name=name,
        comment=values.get("comment") or "",
        author=values.get("author") or "",
        pause=flag(request, "pause", default=True),
        changes=values.getall("changes", []),
        given=given,
    )
    return json_response({"Id": image.id}, status=201)

"""Files in and out of containers: archive, export, changes, each by a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.containers.model import State
from engine.containers.start import user_mounts
from engine.core.errors import (
    Conflict,
    EngineError,
    Forbidden,
    Internal,
    InvalidArgument,
    NotFound,
)
from engine.snapshots.diff import changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.containers.deps import Containers
    from engine.containers.model import Container

PIECE = 1 << 18


class Tree:
    """A helper process at work on a container's tree."""

    def __init__(self, process: asyncio.subprocess.Process, container: Container) -> None:
        self._process = process
        self._container = container

    @property
    def _output(self) -> asyncio.StreamReader:
        if self._process.stdout is None:
            raise Internal("the helper has no output")
        return self._process.stdout

    async def answer(self) -> dict[str, Any]:
        """Return the helper's first line. Raises: NotFound · InvalidArgument · Forbidden."""
        line = await self._output.readline()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise Internal("reading the container's files failed") from None
        if "error" in answer:
            raise self._error(answer)
        return answer

    def _error(self, answer: dict[str, Any]) -> EngineError:
        text = str(answer["error"])
        match answer["kind"]:
            case "not_found":
                return NotFound(
                    f"Could not find the file {text} in container {self._container.name}"
                )
            case "invalid":
                return InvalidArgument(text)
            case "forbidden":
                return Forbidden(text)
            case _:
                return Internal(text)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the tar stream. Raises: Internal(it was cut off)."""
        while data := await self._output.read(PIECE):
            yield data
        if await self._process.wait() != 0:
            raise Internal("the archive could not be read to its end")

    async def feed(self, source: AsyncIterator[bytes]) -> None:
        """Send a tar stream in and wait until it is unpacked."""
        target = self._process.stdin
        if target is None:
            raise Internal("the helper has no input")
        try:
            async for data in source:
                target.write(data)
                await target.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has refused already, and says why
        finally:
            target.close()
        await self.answer()


@asynccontextmanager
async def _tree(
    deps: Containers, container: Container, operation: str, **more: object
) -> AsyncIterator[Tree]:
    """Start the helper for a container; it never outlives the block."""
    if container.state in (State.DEAD, State.REMOVING):
        raise Conflict(f"container {container.id} is marked for removal")
    running = container.running
    whole = operation in ("stat", "get", "put")
    user = [] if running or not whole else await asyncio.to_thread(user_mounts, deps, container)
    request = {
        "op": operation,
        "pid": running.pid if running and whole else None,
        "rootfs": [asdict(item) for item in deps.snapshots.mounts(container.id)],
        "layers": deps.snapshots.layers(container.id),
        "mounts": [asdict(item) for item in user],
        "scratch": str(deps.runtime.scratch),
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "engine.runtime.tree",
        json.dumps(request),
        stdin=asyncio.subprocess.PIPE if operation == "put" else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Tree(process, container)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def read_archive(
    deps: Containers, container: Container, path: str
) -> AsyncIterator[tuple[dict[str, Any], Tree]]:
    """Yield what is at `path`, as the API describes it, and its tar stream."""
    async with _tree(deps, container, "get", path=path) as tree:
        described = _described(await tree.answer())
        deps.publish(container, "archive-path", path=path)
        yield described, tree


async def stat_path(deps: Containers, container: Container, path: str) -> dict[str, Any]:
    """Return what is at `path`, as the API describes it."""
    async with _tree(deps, container, "stat", path=path) as tree:
        return _described(await tree.answer())


def _described(answer: dict[str, Any]) -> dict[str, Any]:
    found = answer["stat"]
    moment = datetime.fromtimestamp(found.pop("mtime_ns") / 1e9, UTC)
    return {**found, "mtime": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}


async def write_archive(
    deps: Containers,
    container: Container,
    path: str,
    source: AsyncIterator[bytes],
    *,
    keep_kinds: bool,
    copy_owner: bool,
) -> None:
    """Unpack a tar stream into the directory `path`.

    `keep_kinds` refuses to put a file in a directory's place and the other way round;
    `copy_owner` gives all to the container's own user.
    Raises: NotFound · InvalidArgument(no directory, no tar) · Forbidden(read-only).
    """
    user = container.config.get("User") or ""
    more = {
        "path": path,
        "keep_kinds": keep_kinds,
        "user": user if copy_owner and user else None,
        "read_only": bool(container.host_config.get("ReadonlyRootfs")),
    }
    if container.running:
        async with _tree(deps, container, "put", **more) as tree:
            await tree.feed(source)
    else:
        async with container.lock, _tree(deps, container, "put", **more) as tree:
            await tree.feed(source)
    deps.publish(container, "extract-to-dir", path=path)


@asynccontextmanager
async def export(deps: Containers, container: Container) -> AsyncIterator[Tree]:
    """Yield the whole root, without what is mounted on it, as a tar stream."""
    async with _tree(deps, container, "export") as tree:
        await tree.answer()
        deps.publish(container, "export")
        yield tree


@asynccontextmanager
async def layer(deps: Containers, container: Container) -> AsyncIterator[Tree]:
    """Yield what the container changed, as the tar stream of an image layer."""
    async with _tree(deps, container, "diff") as tree:
        await tree.answer()
        yield tree


def changed(deps: Containers, container: Container) -> list[dict[str, Any]]:
    """Return the rows of `docker diff`."""
    found = changes(deps.snapshots.layers(container.id))
    return [{"Path": item.path, "Kind": int(item.kind)} for item in found]

"""Files in and out of containers: archive, export, changes, each by a process of its own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.containers.model import State
from engine.containers.start import release_volumes, user_mounts
from engine.core.errors import Conflict
from engine.runtime.files import Tree, run_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.containers.deps import Containers
    from engine.containers.model import Container


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
        "id": container.id,
        "pid": running.pid if running and whole else None,
        "rootfs": [asdict(item) for item in deps.snapshots.mounts(container.id)],
        "layers": deps.snapshots.layers(container.id),
        "mounts": [asdict(item) for item in user],
        "scratch": str(deps.runtime.scratch),
        **more,
    }
    try:
        async with run_tree(request, f"container {container.name}") as tree:
            yield tree
    finally:
        if user and not container.running:
            await asyncio.to_thread(release_volumes, deps, container)


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


async def changed(deps: Containers, container: Container) -> list[dict[str, Any]]:
    """Return the rows of `docker diff`."""
    async with _tree(deps, container, "changes") as tree:
        await tree.answer()
        rows: list[dict[str, Any]] = await tree.rest()
        return rows

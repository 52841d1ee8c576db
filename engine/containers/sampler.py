"""Figures of running containers: each is read once a second, however many watch."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from engine.containers.query import stats_row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from engine.containers.deps import Containers
    from engine.containers.model import Container

INTERVAL = 1.0  # seconds between readings
FRESH = 0.5  # seconds for which a reading serves whoever asks next


class _Feed:
    """One container's readings, and who waits for the next."""

    def __init__(self) -> None:
        self.row: dict[str, Any] | None = None
        self.watchers = 0
        self.task: asyncio.Task[None] | None = None
        self.tick = asyncio.Event()


class Sampler:
    """Reads on demand; what nobody watches is not read."""

    def __init__(self, deps: Containers) -> None:
        self._deps = deps
        self._feeds: dict[str, _Feed] = {}
        self._bulk: dict[str, dict[str, Any]] = {}
        self._bulk_at = 0.0
        self._bulk_lock = asyncio.Lock()

    async def watch(self, container: Container) -> AsyncGenerator[dict[str, Any], None]:
        """Yield a reading at once, then one every second until the container is removed."""
        feed = self._feeds.setdefault(container.id, _Feed())
        feed.watchers += 1
        if feed.task is None:
            feed.row = await _read(container, None)
            feed.task = asyncio.get_running_loop().create_task(self._run(container, feed))
        try:
            while feed.row is not None:
                yield feed.row
                if feed.task.done():
                    return
                await feed.tick.wait()
        finally:
            feed.watchers -= 1
            if not feed.watchers:
                feed.task.cancel()
                self._feeds.pop(container.id, None)

    async def _run(self, container: Container, feed: _Feed) -> None:
        while not container.removed.is_set():
            try:
                await asyncio.wait_for(container.removed.wait(), INTERVAL)
            except TimeoutError:
                feed.row = await _read(container, feed.row)
            tick, feed.tick = feed.tick, asyncio.Event()
            tick.set()

    async def all(self) -> list[dict[str, Any]]:
        """Return a reading of every running container, with the one before it inside.

        The readings are shared: callers within half a second get the same.
        """
        async with self._bulk_lock:
            if time.monotonic() - self._bulk_at > FRESH:
                running = [item for item in self._deps.by_id.values() if item.is_running]
                self._bulk = await asyncio.to_thread(_read_all, running, self._bulk)
                self._bulk_at = time.monotonic()
            return list(self._bulk.values())


def _read_all(
    containers: list[Container], earlier: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    rows = {}
    for container in containers:
        if running := container.running:
            row = stats_row(container, running.stats(), earlier.get(container.id))
            rows[container.id] = row
    return rows


async def _read(container: Container, earlier: dict[str, Any] | None) -> dict[str, Any]:
    running = container.running
    current = await asyncio.to_thread(running.stats) if running else None
    return stats_row(container, current, earlier)


async def read_once(container: Container, *, pair: bool) -> dict[str, Any]:
    """Return one reading; `pair` waits a second so that it has one before it."""
    row = await _read(container, None)
    if pair and container.running:
        await asyncio.sleep(INTERVAL)
        row = await _read(container, row)
    return row

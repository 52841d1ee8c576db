"""Figures of containers, read once a second and shared by everybody who looks."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from engine.client.aio import AsyncEngineClient
from engine.client.client import EngineRefused, EngineUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERVAL = 1.0


def figures(row: dict[str, Any], earlier: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a reading in the dashboard's shape, None for a container that does not run.

    Shape: cpu_pct is of one core, so 200 is two cores; bytes are totals since the start.
    """
    memory = row.get("memory_stats") or {}
    if not memory.get("usage") and not (row.get("pids_stats") or {}).get("current"):
        return None
    cpu = row["cpu_stats"]
    total = cpu["cpu_usage"]["total_usage"]
    system = cpu.get("system_cpu_usage") or 0
    cores = cpu.get("online_cpus") or 1
    percent = 0.0
    if earlier:
        before = earlier["cpu_stats"]
        spent = system - (before.get("system_cpu_usage") or 0)
        if spent > 0:
            percent = (total - before["cpu_usage"]["total_usage"]) / spent * cores * 100
    detail = memory.get("stats") or {}
    cache = detail.get("inactive_file", detail.get("total_inactive_file", 0))
    networks = (row.get("networks") or {}).values()
    blocks = (row.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    return {
        "cpu_pct": round(max(percent, 0.0), 2),
        "cores": cores,
        "memory": max(memory.get("usage", 0) - cache, 0),
        "memory_cache": cache,
        "memory_limit": memory.get("limit", 0),
        "net_rx": sum(network["rx_bytes"] for network in networks),
        "net_tx": sum(network["tx_bytes"] for network in networks),
        "blk_read": sum(row["value"] for row in blocks if row["op"].lower() == "read"),
        "blk_write": sum(row["value"] for row in blocks if row["op"].lower() == "write"),
        "pids": (row.get("pids_stats") or {}).get("current", 0),
    }


class Reader:
    """Reads one engine's wanted containers once a second, as long as anybody wants any."""

    _readers: dict[tuple[int, str], Reader] = {}

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._wanted: Counter[str] = Counter()
        self._rows: dict[str, dict[str, Any]] = {}
        self._task: asyncio.Task[None] | None = None
        self._tick = asyncio.Condition()
        self.latest: dict[str, dict[str, Any]] = {}
        self.at = 0.0

    @classmethod
    def of(cls, socket: str) -> Reader:
        """Return the reader of an engine in this process."""
        key = id(asyncio.get_running_loop()), socket
        return cls._readers.setdefault(key, cls(socket))

    def want(self, ids: Iterable[str]) -> None:
        """Begin to read containers."""
        self._wanted.update(ids)
        if self._task is None and self._wanted:
            self._task = asyncio.ensure_future(self._run())

    def leave(self, ids: Iterable[str]) -> None:
        """Stop reading containers that nobody else wants."""
        self._wanted.subtract(ids)
        self._wanted = +self._wanted

    async def next(self) -> None:
        """Wait for the next reading."""
        async with self._tick:
            await self._tick.wait()

    async def _run(self) -> None:
        try:
            await self._read_while_wanted()
        finally:
            self._task = None
            if self._wanted:  # somebody came while the last connections were closed
                self.want(())

    async def _read_while_wanted(self) -> None:
        async with AsyncEngineClient(self._socket) as engine:
            while self._wanted:
                begun = time.monotonic()
                found = await _read(engine)
                shown = {
                    one: figures(row, self._rows.get(one))
                    for one, row in found.items()
                    if one in self._wanted
                }
                self.latest = {one: figure for one, figure in shown.items() if figure}
                self._rows, self.at = found, time.time()
                async with self._tick:
                    self._tick.notify_all()
                await asyncio.sleep(max(INTERVAL - (time.monotonic() - begun), 0.05))


async def _read(engine: AsyncEngineClient) -> dict[str, dict[str, Any]]:
    try:
        return {row["id"]: row for row in await engine.all_stats()}
    except (EngineRefused, EngineUnreachable):
        return {}  # the engine is away: there are no figures

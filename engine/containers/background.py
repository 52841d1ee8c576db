"""Work that nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

log = logging.getLogger(__name__)

_background: set[asyncio.Task[None]] = set()


def in_background(work: Any) -> None:
    """Run a coroutine that nobody waits for; a fault in it is logged."""
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
    _background.add(task)

    def ended(done: asyncio.Task[None]) -> None:
        _background.discard(done)
        if not done.cancelled() and (error := done.exception()):
            log.error("background work failed", exc_info=error)

    task.add_done_callback(ended)

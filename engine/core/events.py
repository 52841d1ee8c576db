"""What changed, told to whoever listens: the one bus of the engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HISTORY = 256  # events kept for `since`, as many as the Docker Engine keeps
BACKLOG = 4096  # events a slow listener may lag behind before it is cut off


@dataclass(frozen=True)
class Event:
    """One fact: `action` happened to the object `id` of kind `type`.

    Units: `time_ns` is nanoseconds since the epoch.
    """

    type: str
    action: str
    id: str
    attributes: dict[str, str] = field(default_factory=dict)
    time_ns: int = field(default_factory=time.time_ns)


class EventBus:
    """Publish/subscribe; made on the event loop, where every listener is."""

    def __init__(self) -> None:
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def publish(self, type_: str, action: str, id_: str, **attributes: str) -> Event:
        """Tell every listener and remember; may be called from any thread."""
        event = Event(type_, action, id_, attributes)
        if threading.get_ident() == self._thread:
            self._deliver(event)
        else:
            self._loop.call_soon_threadsafe(self._deliver, event)
        return event

    def _deliver(self, event: Event) -> None:
        self._history.append(event)
        for queue in list(self._listeners):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                # A listener that lost events must not believe it saw all: end its stream.
                self._listeners.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)

    def history(self) -> list[Event]:
        """Return what is remembered, oldest first."""
        return list(self._history)

    @contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[Event | None]]:
        """Yield a queue of events from now on; None ends it."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(BACKLOG)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

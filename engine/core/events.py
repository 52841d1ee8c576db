"""What changed, told to whoever listens: the one bus of the engine."""

from __future__ import annotations

import asyncio
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
    """Publish/subscribe within the event loop's thread."""

    def __init__(self) -> None:
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._listeners: set[asyncio.Queue[Event | None]] = set()

    def publish(self, type_: str, action: str, id_: str, **attributes: str) -> Event:
        """Tell every listener and remember; must be called on the event loop's thread."""
        event = Event(type_, action, id_, attributes)
        self._history.append(event)
        for queue in list(self._listeners):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                # A listener that lost events must not believe it saw all: end its stream.
                self._listeners.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
        return event

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

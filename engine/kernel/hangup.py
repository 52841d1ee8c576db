"""Being told that the other end of a connection is gone, without reading from it."""

from __future__ import annotations

import asyncio
import os
import select
from typing import Self

_MASK = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Hangup:
    """Tells when a socket's peer has closed; use it in `with`, inside a loop.

    An epoll of its own, whose descriptor the event loop watches: a loop's own watch would wake
    for every byte that comes and take it from who reads. Source: epoll_ctl(2), EPOLLRDHUP.
    """

    def __init__(self, fd: int) -> None:
        self._fd = os.dup(fd)
        self._epoll = select.epoll(1)
        self._epoll.register(self._fd, _MASK)
        self._loop = asyncio.get_running_loop()
        self.happened = asyncio.Event()
        self._loop.add_reader(self._epoll.fileno(), self._ready)

    def _ready(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self.happened.set()

    def __enter__(self) -> Self:
        """Return the watch."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        os.close(self._fd)

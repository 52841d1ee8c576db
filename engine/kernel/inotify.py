"""Being told that a file grew, instead of looking again and again."""

from __future__ import annotations

import asyncio
import os
from typing import Self

from engine.kernel._libc import fail, libc

IN_MODIFY = 0x002
IN_CREATE = 0x100
IN_MOVE_SELF = 0x800
IN_CLOEXEC = 0o2000000
IN_NONBLOCK = 0o4000
ENOUGH = 64 * 1024


class Watch:
    """Waits for a file to grow, or another to take its name; use it in `with`, inside a loop.

    Source: inotify(7). A watch stays with its file through a rename: add the new one.
    """

    def __init__(self, path: str) -> None:
        self._fd = libc.inotify_init1(IN_CLOEXEC | IN_NONBLOCK)
        if self._fd < 0:
            raise fail("inotify_init1", path)
        self._event = asyncio.Event()
        try:
            self.add(path)
            self._add(os.path.dirname(path), IN_CREATE)
        except OSError:
            os.close(self._fd)
            raise
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def __enter__(self) -> Self:
        """Return the watch."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def add(self, path: str) -> None:
        """Watch one more file. Raises: OSError."""
        self._add(path, IN_MODIFY | IN_MOVE_SELF)

    def clear(self) -> None:
        """Forget what happened so far; look at the file after this, then wait."""
        self._event.clear()

    async def wait(self) -> None:
        """Return when something happened since `clear`."""
        await self._event.wait()

    def _add(self, path: str, mask: int) -> None:
        if libc.inotify_add_watch(self._fd, os.fsencode(path), mask) < 0:
            raise fail("inotify_add_watch", path)

    def _read(self) -> None:
        os.read(self._fd, ENOUGH)
        self._event.set()

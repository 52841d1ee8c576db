"""Being told that a file grew, instead of looking again and again."""

from __future__ import annotations

import asyncio
import os
import struct
from typing import Self

from engine.kernel._libc import fail, libc

IN_MODIFY = 0x002
IN_CREATE = 0x100
IN_MOVE_SELF = 0x800
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_MASK_ADD = 0x20000000
IN_CLOEXEC = 0o2000000
IN_NONBLOCK = 0o4000
ENOUGH = 64 * 1024
_HEADER = struct.Struct("=iIII")


class _Instance:
    """The one inotify instance of an event loop: a machine has but 128 for each user."""

    def __init__(self) -> None:
        self._fd = libc.inotify_init1(IN_CLOEXEC | IN_NONBLOCK)
        if self._fd < 0:
            raise fail("inotify_init1")
        self._watches: dict[int, set[Watch]] = {}
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self._fd, self._read)

    def add(self, watch: Watch, path: str, mask: int) -> int:
        number = int(libc.inotify_add_watch(self._fd, os.fsencode(path), mask | IN_MASK_ADD))
        if number < 0:
            raise fail("inotify_add_watch", path)
        self._watches.setdefault(number, set()).add(watch)
        return number

    def remove(self, watch: Watch, number: int) -> None:
        watches = self._watches.get(number, set())
        watches.discard(watch)
        if not watches and self._watches.pop(number, None) is not None:
            libc.inotify_rm_watch(self._fd, number)  # fails when the file is gone: then it was

    def _read(self) -> None:
        data, offset = os.read(self._fd, ENOUGH), 0
        while offset < len(data):
            number, mask, _, length = _HEADER.unpack_from(data, offset)
            offset += _HEADER.size + length
            if mask & IN_Q_OVERFLOW:
                touched = {watch for watches in self._watches.values() for watch in watches}
            elif mask & IN_IGNORED:
                touched = self._watches.pop(number, set())
            else:
                touched = self._watches.get(number, set())
            for watch in touched:
                watch.happened.set()

    def close(self) -> None:
        self.loop.remove_reader(self._fd)
        os.close(self._fd)

    @property
    def unused(self) -> bool:
        return not self._watches


_instances: dict[asyncio.AbstractEventLoop, _Instance] = {}


class Watch:
    """Waits for a file to grow, or another to take its name; use it in `with`, inside a loop.

    Source: inotify(7). A watch stays with its file through a rename: add the new one.
    """

    def __init__(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        if loop not in _instances:
            _instances[loop] = _Instance()
        self._instance = _instances[loop]
        self.happened = asyncio.Event()
        self._numbers: set[int] = set()
        try:
            self.add(path)
            self._numbers.add(self._instance.add(self, os.path.dirname(path), IN_CREATE))
        except OSError:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        """Return the watch."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        for number in self._numbers:
            self._instance.remove(self, number)
        self._numbers.clear()
        if self._instance.unused and self._instance.loop in _instances:
            del _instances[self._instance.loop]
            self._instance.close()

    def add(self, path: str) -> None:
        """Watch one more file. Raises: OSError."""
        self._numbers.add(self._instance.add(self, path, IN_MODIFY | IN_MOVE_SELF))

    def clear(self) -> None:
        """Forget what happened so far; look at the file after this, then wait."""
        self.happened.clear()

    async def wait(self) -> None:
        """Return when something happened since `clear`."""
        await self.happened.wait()

"""Logs: a container's json-file lines read back, from the end or from a moment on, and followed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from operator import add
from typing import TYPE_CHECKING, Any, TypeVar

from engine.kernel.inotify import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from engine.containers.model import Container

T = TypeVar("T")
CHUNK = 256 * 1024  # bytes: what is formatted at once stays in the processor's cache
PIECES = 4  # chunks for each turn of a thread


@dataclass(frozen=True)
class LogQuery:
    """What a client wants to read; `since` and `until` as `stamp_ns` writes them, or ""."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since: str = ""
    until: str = ""
    tail: int | None = None
    timestamps: bool = False
    details: bool = False


async def read_logs(
    container: Container, query: LogQuery, *, framed: bool = True
) -> AsyncGenerator[bytes, None]:
    """Yield log output in Docker's wire format: frames, or raw text with a terminal."""
    path = container.document["LogPath"]
    terminal = bool(container.config.get("Tty")) or not framed
    # A thread cannot be stopped: who hangs up meanwhile waits for what it opens and reads.
    files: list[int] = []
    opening = asyncio.ensure_future(asyncio.to_thread(_open_files, path))
    try:
        files = await _ended(opening)
        skip = await _ended(asyncio.ensure_future(asyncio.to_thread(_offsets, files, query.tail)))
        for index, file in enumerate(files):
            start = skip[index]
            if start is None:
                continue
            os.lseek(file, start, os.SEEK_SET)
            rest, at_end = b"", False
            while not at_end:
                piece, rest, at_end, past = await asyncio.to_thread(
                    _advance, file, rest, query, terminal
                )
                if piece:
                    yield piece
                if past:
                    return
        if query.follow and files:
            following = _follow(container, path, files, rest, query, terminal)
            async with contextlib.aclosing(following) as pieces:
                async for piece in pieces:
                    yield piece
    finally:
        for file in files or opening.result():
            os.close(file)


async def _ended(work: asyncio.Future[T]) -> T:
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        raise


def _advance(
    file: int, rest: bytes, query: LogQuery, terminal: bool
) -> tuple[bytes, bytes, bool, bool]:
    """Read on; return (output, unfinished line, whether the file ended, whether `until` passed)."""
    result: list[bytes] = []
    for _ in range(PIECES):
        if not (data := os.read(file, CHUNK)):
            return b"".join(result), rest, True, False
        whole, rest = _whole_lines(rest + data)
        piece, past = _format(whole, query, terminal)
        result.append(piece)
        if past:
            return b"".join(result), rest, False, True
    return b"".join(result), rest, False, False


async def _follow(
    container: Container, path: str, files: list[int], rest: bytes, query: LogQuery, terminal: bool
) -> AsyncGenerator[bytes, None]:
    with Watch(path) as watch:
        grown = _grown(container, watch, path, files, rest, query, terminal)
        async with contextlib.aclosing(grown) as pieces:
            async for piece in pieces:
                yield piece


async def _grown(
    container: Container,
    watch: Watch,
    path: str,
    files: list[int],
    rest: bytes,
    query: LogQuery,
    terminal: bool,
) -> AsyncGenerator[bytes, None]:
    while True:
        watch.clear()
        # Asked before reading: what was written before the end is then certain to be read.
        ended = not container.is_running
        data = os.read(files[-1], CHUNK)
        if data:
            whole, rest = _whole_lines(rest + data)
            piece, past = _format(whole, query, terminal)
            if piece:
                yield piece
            if past:
                return
            continue
        if _rotated(path, files[-1]):
            files.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            watch.add(path)
            continue
        if ended:
            return
        waits = [
            asyncio.ensure_future(watch.wait()),
            asyncio.ensure_future(container.exited.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _rotated(path: str, file: int) -> bool:
    try:
        return os.stat(path).st_ino != os.fstat(file).st_ino
    except FileNotFoundError:
        return False


def _open_files(path: str) -> list[int]:
    """Open the rotated files and the current one, oldest first."""
    names = [path]
    number = 1
    while any(os.path.exists(f"{path}.{number}{ending}") for ending in ("", ".gz")):
        names.insert(0, f"{path}.{number}")
        number += 1
    files = []
    for name in names:
        try:
            files.append(os.open(name, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            # Compressed, or being renamed just now: then its lines come with the next file.
            with contextlib.suppress(FileNotFoundError):
                files.append(_inflate(f"{name}.gz"))
    return files


def _inflate(path: str) -> int:
    """Return a descriptor of a compressed file's content; it exists only as long as it is open."""
    with gzip.open(path, "rb") as source, tempfile.TemporaryFile() as target:
        shutil.copyfileobj(source, target, CHUNK)
        target.flush()
        return os.dup(target.fileno())


def _offsets(files: list[int], tail: int | None) -> list[int | None]:
    """Return where to begin in each file so that `tail` lines follow; None skips the file."""
    if tail is None:
        return [0] * len(files)
    result: list[int | None] = [None] * len(files)
    left = tail
    for index in range(len(files) - 1, -1, -1):
        start, found = _last_lines(files[index], left)
        result[index] = start
        left -= found
        if left <= 0:
            break
    return result


def _last_lines(file: int, count: int) -> tuple[int, int]:
    """Return (offset, lines) of the last `count` lines, read backwards in pieces."""
    end = os.fstat(file).st_size
    if count <= 0:
        return end, 0
    found, position, upper = 0, end, end
    while position > 0:
        size = min(64 * 1024, position)
        position -= size
        data = os.pread(file, size, position)
        if upper == end and data.endswith(b"\n"):
            data = data[:-1]
        upper = position
        at = len(data)
        while (at := data.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == count:
                return position + at + 1, count
    return 0, found + (1 if end else 0)


def _whole_lines(data: bytes) -> tuple[bytes, bytes]:
    whole, newline, rest = data.rpartition(b"\n")
    return whole + newline, rest


def _format(data: bytes, query: LogQuery, terminal: bool) -> tuple[bytes, bool]:
    """Return the output for whole log lines, and whether `until` has passed."""
    if (text := _format_plain(data, query, terminal)) is not None:
        return text, False
    result: list[bytes] = []
    for line in _records(data):
        moment = line["time"]
        # Our own writer always gives nine digits, so the texts compare as the moments do.
        if moment < query.since:
            continue
        if query.until and moment > query.until:
            return b"".join(result), True
        stream = 2 if line["stream"] == "stderr" else 1
        if not (query.stderr if stream == 2 else query.stdout):
            continue
        text = line["log"].encode()
        if query.details:
            pairs = (line.get("attrs") or {}).items()
            text = ",".join(f"{key}={value}" for key, value in sorted(pairs)).encode() + b" " + text
        if query.timestamps:
            text = moment.encode() + b" " + text
        if not terminal:
            text = bytes((stream, 0, 0, 0)) + len(text).to_bytes(4, "big") + text
        result.append(text)
    return b"".join(result), False


_HEAD, _TAIL = b'{"log":"', b'\\n","stream":"stdout","time":"'
_END = b'"}\n'
_BETWEEN = len("2026-01-02T03:04:05.123456789Z") + len(_END) + len(_HEAD)


class _Heads(dict[int, bytes]):
    """The frame's head for a line of stdout, by the line's length without its newline."""

    def __missing__(self, length: int) -> bytes:
        head = self[length] = b"\1\0\0\0" + (length + 1).to_bytes(4, "big")
        return head


_heads = _Heads()


def _format_plain(data: bytes, query: LogQuery, terminal: bool) -> bytes | None:
    """Return the output for what nearly every log is made of, some ten times as fast.

    None when any line is not whole, of stderr, with attributes or with a character that JSON
    escapes, or when the query selects or adds anything.
    """
    if query.since or query.until or query.timestamps or query.details or not query.stdout:
        return None
    first, *rest = data.split(_TAIL)
    # Every line ends so, and nothing else does: quotes and newlines of the output are escaped.
    if not rest or len(rest) != data.count(_END):
        return None
    lines = [first[len(_HEAD) :], *[piece[_BETWEEN:] for piece in rest[:-1]]]
    text = b"\n".join(lines)
    if b"\\" in text:
        return None
    if terminal:
        return text + b"\n"
    # No step of Python's own for a line: a hundred megabytes are a million and a half of them.
    return b"\n".join(map(add, map(_heads.__getitem__, map(len, lines)), lines)) + b"\n"


def _records(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            # A line that a full disk or a power cut left half-written.
            continue

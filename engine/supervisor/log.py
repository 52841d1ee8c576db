"""A container's log: Docker's json-file lines, written in large pieces.

Shape: {"log":"text\\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"} a line. A line
       over 16 KiB is split; its pieces but the last lack the newline.
"""

from __future__ import annotations

import json
import os
import time

LINE_LIMIT = 16 * 1024
_CONTROL = bytes(code for code in range(0x20) if code not in (0x09, 0x0A, 0x0D, 0x1B))


class LogWriter:
    """Appends what arrives on stdout and stderr; keeps each stream's unfinished line back."""

    def __init__(self, path: str, max_size: int | None, max_files: int) -> None:
        self._path = path
        self._max_size = max_size
        self._max_files = max_files
        self._partial = {1: b"", 2: b""}
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o640)
        self._size = os.fstat(self._fd).st_size

    def write(self, stream: int, data: bytes) -> None:
        """Log a piece of output; stream is 1 (stdout) or 2 (stderr)."""
        data = self._partial[stream] + data
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            self._append(_encode(whole, stream))
        while len(rest) >= LINE_LIMIT:
            self._append(_encode_lines([rest[:LINE_LIMIT]], stream, b""))
            rest = rest[LINE_LIMIT:]
        self._partial[stream] = rest

    def close(self) -> None:
        """Write the unfinished lines and close the file."""
        for stream, rest in self._partial.items():
            if rest:
                self._append(_encode_lines([rest], stream, b""))
        os.close(self._fd)

    def _append(self, data: bytes) -> None:
        # A full disk must not stop the container: what cannot be written is lost to the log alone.
        try:
            written = os.write(self._fd, data)
        except OSError:
            return
        self._size += written
        if self._max_size and self._size >= self._max_size:
            self._rotate()

    def _rotate(self) -> None:
        os.close(self._fd)
        for number in range(self._max_files - 1, 0, -1):
            source = self._path if number == 1 else f"{self._path}.{number - 1}"
            if os.path.exists(source):
                os.replace(source, f"{self._path}.{number}")
        if self._max_files <= 1:
            os.truncate(self._path, 0)
        self._open()


def _encode(whole: bytes, stream: int) -> bytes:
    """Return the log lines for complete lines without their last newline."""
    # Escaping the whole piece in C is about ten times as fast as json.dumps line by line; pieces
    # with rare control characters, bad UTF-8 or very long lines take the slow way.
    if len(whole) < LINE_LIMIT or max(map(len, whole.split(b"\n"))) < LINE_LIMIT:
        try:
            whole.decode()
        except UnicodeDecodeError:
            return _encode_lines(whole.split(b"\n"), stream, b"\n")
        if len(whole.translate(None, _CONTROL)) == len(whole):
            escaped = (
                whole.replace(b"\\", b"\\\\")
                .replace(b'"', b'\\"')
                .replace(b"\t", b"\\t")
                .replace(b"\r", b"\\r")
                .replace(b"\x1b", b"\\u001b")
            )
            head, tail = _frame(stream, b"\\n")
            return head + escaped.replace(b"\n", tail + head) + tail
    return _encode_lines(whole.split(b"\n"), stream, b"\n")


def _encode_lines(lines: list[bytes], stream: int, end: bytes) -> bytes:
    result = []
    for line in lines:
        pieces = [line[i : i + LINE_LIMIT] for i in range(0, len(line), LINE_LIMIT)] or [b""]
        pieces[-1] += end
        for piece in pieces:
            text = json.dumps(piece.decode(errors="replace"), ensure_ascii=False)
            head, tail = _frame(stream, b"")
            result.append(head + text[1:-1].encode() + tail)
    return b"".join(result)


def _frame(stream: int, end: bytes) -> tuple[bytes, bytes]:
    name = b"stdout" if stream == 1 else b"stderr"
    return b'{"log":"', end + b'","stream":"' + name + b'","time":"' + _now() + b'"}\n'


def _now() -> bytes:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{nanoseconds:09d}Z".encode()

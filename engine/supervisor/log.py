"""A container's log: Docker's json-file lines, written in large pieces.

Shape: {"log":"text\\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"} a line, with
       "attrs" before "time" when labels or variables were asked for. A line over 16 KiB is split;
       its pieces but the last lack the newline. Rotated files are <path>.1, <path>.2 …, the
       youngest first, with ".gz" once they are compressed.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import time

from engine.kernel.process import close_range

LINE_LIMIT = 16 * 1024
_CONTROL = bytes(code for code in range(0x20) if code not in (0x09, 0x0A, 0x0D, 0x1B))


class LogWriter:
    """Appends what arrives on stdout and stderr; keeps each stream's unfinished line back."""

    def __init__(
        self,
        path: str,
        max_size: int | None,
        max_files: int,
        *,
        compress: bool = False,
        attributes: dict[str, str] | None = None,
    ) -> None:
        self._path = path
        self._max_size = max_size
        self._max_files = max_files
        self._compress = compress
        self._compressor = 0  # the process that compresses the youngest rotated file
        text = json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))
        self._attributes = f'"attrs":{text},'.encode() if attributes else b""
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
            self._append(self._encode(whole, stream))
        while len(rest) >= LINE_LIMIT:
            self._append(self._encode_lines([rest[:LINE_LIMIT]], stream, b""))
            rest = rest[LINE_LIMIT:]
        self._partial[stream] = rest

    def close(self) -> None:
        """Write the unfinished lines and close the file."""
        for stream, rest in self._partial.items():
            if rest:
                self._append(self._encode_lines([rest], stream, b""))
        os.close(self._fd)
        self._await_compressor()

    def _append(self, data: bytes) -> None:
        while self._max_size and self._size + len(data) > self._max_size:
            # As many whole lines as still fit; a line longer than a file gets one of its own.
            cut = data.rfind(b"\n", 0, max(self._max_size - self._size, 0)) + 1
            if not cut and not self._size:
                cut = data.index(b"\n") + 1
                if cut == len(data):
                    break
            self._write(data[:cut])
            data = data[cut:]
            self._rotate()
        self._write(data)

    def _write(self, data: bytes) -> None:
        # A full disk must not stop the container: what cannot be written is lost to the log alone.
        with contextlib.suppress(OSError):
            self._size += os.write(self._fd, data)

    def _rotate(self) -> None:
        try:
            self._rename()
        except OSError:
            # No inode, no memory for a process: the container goes on, and its log in one file.
            self._size = 0

    def _rename(self) -> None:
        self._await_compressor()
        for number in range(self._max_files - 1, 0, -1):
            for ending in ("", ".gz"):
                older = f"{self._path}.{number}{ending}"
                source = f"{self._path}.{number - 1}{ending}"
                if number == 1:
                    source = self._path if not ending else ""
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(older)
                if source and os.path.exists(source):
                    os.replace(source, older)
        if self._max_files <= 1:
            os.truncate(self._path, 0)
        old = self._fd
        self._open()
        os.close(old)
        if self._max_files > 1 and self._compress:
            self._start_compressor(f"{self._path}.1")

    def _start_compressor(self, path: str) -> None:
        # In a process of its own: the container's output must not wait for gzip.
        self._compressor = os.fork()
        if self._compressor:
            return
        try:
            close_range(3)  # clients must see their stream end when the supervisor ends it
            with open(path, "rb") as source, gzip.open(f"{path}.part", "wb", 6) as target:
                shutil.copyfileobj(source, target, 1 << 20)
            os.replace(f"{path}.part", f"{path}.gz")
            os.unlink(path)
        finally:
            os._exit(0)

    def _await_compressor(self) -> None:
        if self._compressor:
            os.waitpid(self._compressor, 0)
            self._compressor = 0

    def _encode(self, whole: bytes, stream: int) -> bytes:
        """Return the log lines for complete lines without their last newline."""
        # Escaping the whole piece in C is about ten times as fast as json.dumps line by line;
        # pieces with rare control characters, bad UTF-8 or very long lines take the slow way.
        if len(whole) < LINE_LIMIT or max(map(len, whole.split(b"\n"))) < LINE_LIMIT:
            try:
                whole.decode()
            except UnicodeDecodeError:
                return self._encode_lines(whole.split(b"\n"), stream, b"\n")
            if len(whole.translate(None, _CONTROL)) == len(whole):
                escaped = (
                    whole.replace(b"\\", b"\\\\")
                    .replace(b'"', b'\\"')
                    .replace(b"\t", b"\\t")
                    .replace(b"\r", b"\\r")
                    .replace(b"\x1b", b"\\u001b")
                )
                head, tail = self._frame(stream, b"\\n")
                return head + escaped.replace(b"\n", tail + head) + tail
        return self._encode_lines(whole.split(b"\n"), stream, b"\n")

    def _encode_lines(self, lines: list[bytes], stream: int, end: bytes) -> bytes:
        result = []
        for line in lines:
            pieces = [line[i : i + LINE_LIMIT] for i in range(0, len(line), LINE_LIMIT)] or [b""]
            pieces[-1] += end
            for piece in pieces:
                text = json.dumps(piece.decode(errors="replace"), ensure_ascii=False)
                head, tail = self._frame(stream, b"")
                result.append(head + text[1:-1].encode() + tail)
        return b"".join(result)

    def _frame(self, stream: int, end: bytes) -> tuple[bytes, bytes]:
        name = b"stdout" if stream == 1 else b"stderr"
        rest = b'","stream":"' + name + b'",' + self._attributes + b'"time":"' + _now() + b'"}\n'
        return b'{"log":"', end + rest


def _now() -> bytes:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{nanoseconds:09d}Z".encode()

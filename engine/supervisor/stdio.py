"""A process's standard streams: pumped to its log and to whoever is attached.

Shape: an attached socket carries Docker's wire format: with a terminal raw bytes; without one,
       frames of 8 bytes header (stream number, three zeros, length big-endian) and payload.
       Towards the process it is raw stdin, and the sender's half-close is the end of stdin.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.supervisor.log import LogWriter

LEFT_AT_MOST = 1 << 20  # bytes: the largest pipe that needs no privilege
CHUNK = 64 * 1024
BACKLOG = 1024 * 1024  # bytes an attached client may lag behind before output waits for it


class Loop:
    """A minimal epoll loop: one callback per descriptor."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(events)` when `fd` is ready; replaces an earlier watch."""
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Stop watching; a descriptor that is not watched is fine."""
        if self._callbacks.pop(fd, None):
            self._epoll.unregister(fd)

    def run_once(self) -> None:
        """Wait for something and handle it."""
        ready = [(fd, events, self._callbacks.get(fd)) for fd, events in self._epoll.poll()]
        for fd, events, callback in ready:
            # What was heard of a descriptor is not true of the next one with its number.
            if callback and self._callbacks.get(fd) is callback:
                callback(events)


class Attachment:
    """One attached client socket."""

    def __init__(
        self,
        stdio: Stdio,
        sock: socket.socket,
        *,
        stdin: bool,
        outputs: set[int],
        framed: bool,
        keys: DetachKeys | None,
    ) -> None:
        self.framed = framed
        self._keys = keys
        self._stdio = stdio
        self._loop = stdio.loop
        self.sock = sock
        self.outputs = outputs
        self._reads = stdin
        self._pending = bytearray()
        self._ending = False
        sock.setblocking(False)
        self._watch()

    @property
    def lagging(self) -> bool:
        """Tell whether output should wait for this client."""
        return len(self._pending) > BACKLOG

    def send(self, data: bytes) -> None:
        """Send now what fits and keep the rest."""
        if not self._pending:
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.drop()
                return
            data = data[sent:]
        if data:
            self._pending += data
            self._watch()

    def end(self) -> None:
        """Close after everything pending has been sent."""
        self._ending = True
        if not self._pending:
            self.drop()

    def drop(self) -> None:
        """Forget the client."""
        self._loop.forget(self.sock.fileno())
        self.sock.close()
        self._stdio.detached(self)

    def stop_reading(self) -> None:
        """Take no more stdin from this client for now."""
        self._reads = False
        self._watch()

    def resume_reading(self) -> None:
        """Take stdin again."""
        self._reads = True
        self._watch()

    def _watch(self) -> None:
        events = (select.EPOLLIN if self._reads else 0) | (select.EPOLLOUT if self._pending else 0)
        self._loop.watch(self.sock.fileno(), events, self._ready)

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        elif events & select.EPOLLIN and self._reads:
            self._receive()
        elif events & (select.EPOLLHUP | select.EPOLLERR):
            self.drop()

    def _flush(self) -> None:
        try:
            sent = self.sock.send(self._pending)
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        del self._pending[:sent]
        if not self._pending:
            if self._ending:
                self.drop()
                return
            self._watch()
        self._stdio.pace()

    def _receive(self) -> None:
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        if data:
            self.type(data)
        else:
            self._reads = False
            self._watch()
            self._stdio.stdin_ended()

    def type(self, data: bytes) -> None:
        """Pass input on, unless it is what detaches this client."""
        if self._keys is None:
            self._stdio.write_stdin(data, self)
            return
        text, detached = self._keys.feed(data)
        if text:
            self._stdio.write_stdin(text, self)
        if detached:
            self.end()
            self._keys.on_detach()


class DetachKeys:
    """Finds the keys that detach in what is typed; what only begins like them is passed on."""

    def __init__(self, keys: bytes, on_detach: Callable[[], None]) -> None:
        self._keys = keys
        self._matched = 0
        self.on_detach = on_detach

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return the input that is for the process, and whether the keys were typed."""
        text = bytearray()
        for byte in data:
            if byte != self._keys[self._matched]:
                text += self._keys[: self._matched]
                self._matched = 0
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(text), True
            else:
                text.append(byte)
        return bytes(text), False


class Stdio:
    """The streams of one process: `outputs` maps descriptors to stream numbers (1, 2)."""

    def __init__(
        self,
        loop: Loop,
        outputs: dict[int, int],
        stdin: int | None,
        log: LogWriter | None,
        *,
        terminal: bool,
        stdin_once: bool,
    ) -> None:
        self.loop = loop
        self._outputs = outputs
        self._stdin = stdin
        self._log = log
        self._terminal = terminal
        self._stdin_once = stdin_once
        self._attachments: list[Attachment] = []
        self._input = bytearray()
        self._input_ended = False
        self._waiting: list[Attachment] = []
        self._paced = False
        for fd in outputs:
            os.set_blocking(fd, False)
        if stdin is not None:
            os.set_blocking(stdin, False)
        self.pace(force=True)

    @property
    def finished(self) -> bool:
        """Tell whether every output has ended."""
        return not self._outputs

    def attach(
        self,
        sock: socket.socket,
        *,
        stdin: bool,
        outputs: set[int],
        framed: bool = True,
        detach_keys: bytes = b"",
        on_detach: Callable[[], None] = lambda: None,
    ) -> None:
        """Add a client; after the end it is told so at once."""
        reads = stdin and self._stdin is not None
        keys = DetachKeys(detach_keys, on_detach) if detach_keys and self._terminal else None
        attachment = Attachment(self, sock, stdin=reads, outputs=outputs, framed=framed, keys=keys)
        if self.finished:
            attachment.end()
        else:
            self._attachments.append(attachment)

    def detached(self, attachment: Attachment) -> None:
        """Take note that a client is gone."""
        if attachment in self._attachments:
            self._attachments.remove(attachment)
            self.pace()

    def pace(self, *, force: bool = False) -> None:
        """Read output while every client keeps up, wait while one lags behind."""
        lagging = any(attachment.lagging for attachment in self._attachments)
        if lagging == self._paced and not force:
            return
        self._paced = lagging
        for fd in self._outputs:
            events = 0 if lagging else select.EPOLLIN
            self.loop.watch(fd, events, partial(self._readable, fd))

    def drain(self) -> None:
        """Read what is left after the process ended, then let go of everything."""
        for fd in list(self._outputs):
            # No more than was in the pipe at the end: others may write on and on.
            left = LEFT_AT_MOST
            while left > 0 and fd in self._outputs and (count := self._read(fd)):
                left -= count
            self._close_output(fd)
        self.close_stdin()
        if self._log:
            self._log.close()
            self._log = None
        for attachment in list(self._attachments):
            attachment.end()

    @property
    def flushed(self) -> bool:
        """Tell whether every client has got everything."""
        return not self._attachments

    def _readable(self, fd: int, events: int) -> None:
        if not self._read(fd) and events & (select.EPOLLHUP | select.EPOLLERR):
            self._close_output(fd)

    def _read(self, fd: int) -> int:
        """Move one piece of output on and return its bytes; 0 when there is none."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal whose last user is gone says EIO
                raise
            data = b""
        if not data:
            self._close_output(fd)
            return 0
        stream = self._outputs[fd]
        if self._log:
            self._log.write(stream, data)
        if self._attachments:
            framed = bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data
            for attachment in list(self._attachments):
                if stream in attachment.outputs:
                    attachment.send(framed if attachment.framed else data)
            self.pace()
        return len(data)

    def _close_output(self, fd: int) -> None:
        if self._outputs.pop(fd, None) is not None:
            self.loop.forget(fd)
            if fd != self._stdin:  # a terminal is one descriptor for both ways
                os.close(fd)

    def write_stdin(self, data: bytes, source: Attachment) -> None:
        """Pass a client's input on; the client waits while the process does not read."""
        if self._stdin is None:
            return
        self._input += data
        self._flush_stdin()
        if self._input:
            source.stop_reading()
            if source not in self._waiting:
                self._waiting.append(source)

    def stdin_ended(self) -> None:
        """A client closed its input: with StdinOnce, or an exec, so ends the process's."""
        if self._stdin_once and not self._terminal:
            self._input_ended = True
            self._flush_stdin()

    def _flush_stdin(self, _events: int = 0) -> None:
        if self._stdin is None:
            return
        if self._input:
            try:
                written = os.write(self._stdin, self._input)
                del self._input[:written]
            except BlockingIOError:
                written = 0
            except OSError:  # the process closed its stdin; what comes is for nobody
                self._input.clear()
                self.close_stdin()
                return
        if self._input:
            if not self._terminal:
                self.loop.watch(self._stdin, select.EPOLLOUT, self._flush_stdin)
            else:
                fd = self._stdin
                both = select.EPOLLIN | select.EPOLLOUT
                self.loop.watch(fd, both, partial(self._terminal_ready, fd))
            return
        if not self._terminal:
            self.loop.forget(self._stdin)
        else:
            self.pace(force=True)
        waiting, self._waiting = self._waiting, []
        for attachment in waiting:
            if attachment in self._attachments:
                attachment.resume_reading()
        if self._input_ended:
            self.close_stdin()

    def _terminal_ready(self, fd: int, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush_stdin()
        if events & (select.EPOLLIN | select.EPOLLHUP) and fd in self._outputs:
            self._readable(fd, events)

    def close_stdin(self) -> None:
        """Give the process the end of its input."""
        if self._stdin is None:
            return
        fd, self._stdin = self._stdin, None
        if self._terminal and fd in self._outputs:
            return
        self.loop.forget(fd)
        with contextlib.suppress(OSError):
            os.close(fd)

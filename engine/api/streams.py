"""Answers that are more than one body: progress lines, raw streams, taken-over connections."""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
from typing import TYPE_CHECKING, Any

from aiohttp import web

from engine.core.errors import InvalidArgument
from engine.kernel.hangup import Hangup
from engine.runtime.runtime import Attachment

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

PIECE = 1 << 16
RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


async def read_json(request: web.Request) -> dict[str, Any]:
    """Return the body's JSON object; an empty body is an empty object.

    Raises: InvalidArgument(something else).
    """
    data = await request.read()
    if not data.strip():
        return {}
    try:
        value = json.loads(data)
    except ValueError as error:
        raise InvalidArgument(f"invalid JSON: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgument("invalid JSON: an object was expected")
    return value


def read_filters(request: web.Request) -> dict[str, list[str]]:
    """Return the `filters` parameter as lists, in either of its two shapes.

    Raises: InvalidArgument.
    """
    text = request.query.get("filters")
    if not text:
        return {}
    try:
        value = json.loads(text)
        return {
            key: [str(item) for item in (values if isinstance(values, list) else values.keys())]
            for key, values in value.items()
        }
    except (ValueError, AttributeError) as error:
        raise InvalidArgument(f"invalid filter: {text}") from error


class JsonStream:
    """Newline-separated JSON, each flushed as it is written; headers go with the first line."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={"Content-Type": "application/json"})

    @property
    def begun(self) -> bool:
        """Tell whether the status is already out."""
        return self._response.prepared

    async def start(self) -> None:
        """Send the headers."""
        if not self._response.prepared:
            await self._response.prepare(self._request)

    async def send(self, value: dict[str, Any]) -> None:
        """Send one line."""
        await self.start()
        await self._response.write(json.dumps(value, separators=(",", ":")).encode() + b"\r\n")

    async def end(self) -> web.StreamResponse:
        """Finish and return the response for the route to return."""
        await self.start()
        await self._response.write_eof()
        return self._response


class NoResponse(web.StreamResponse):
    """Stands for a connection that is gone or no longer HTTP; nothing more is written to it."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write nothing."""
        del request

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""
        del data


class TakenOver:
    """A client's connection lifted out of HTTP: a socket of our own on the same connection.

    The socket goes to the container's supervisor, so the bytes of attach and exec never pass
    through the daemon, and survive its end. What a client sends before it has read the answer is
    lost, as HTTP lets it be: the protocol changes with the answer.
    """

    def __init__(self, request: web.Request, content_type: str) -> None:
        self._request = request
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        if request.headers.get("Upgrade"):
            head = "101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp"
        else:
            head = "200 OK"
        # Reading stops before the answer goes out: what the client sends next is not HTTP.
        transport.pause_reading()
        transport.write(f"HTTP/1.1 {head}\r\nContent-Type: {content_type}\r\n\r\n".encode())
        found = transport.get_extra_info("socket")
        self.sock: socket.socket | None = socket.socket(fileno=os.dup(found.fileno()))

    def attachment(
        self, *, stdin: bool, stdout: bool, stderr: bool, framed: bool, keys: bytes = b""
    ) -> Attachment:
        """Return what the runtime hands to the supervisor; the caller closes its socket."""
        if self.sock is None:
            raise ConnectionResetError("the connection was handed over already")
        sock, self.sock = self.sock, None
        return Attachment(sock, stdin, stdout, stderr, keys, framed)

    def send(self, data: bytes) -> None:
        """Write a last word before the connection ends."""
        if self.sock:
            self.sock.setblocking(True)
            self.sock.sendall(data)

    def response(self) -> web.StreamResponse:
        """Return what the route returns; HTTP's own hold on the connection ends with it."""
        if self.sock:
            self.sock.close()
        self._request.protocol.force_close()
        return NoResponse()

    def detached(self) -> web.StreamResponse:
        """Return what the route returns while the socket waits for its container."""
        self._request.protocol.force_close()
        return NoResponse()


class Pending:
    """An attachment that waits for its container to start."""

    def __init__(self, taken: TakenOver, make: Callable[[], Attachment]) -> None:
        self._taken = taken
        self.take = make

    def drop_if_gone(self) -> bool:
        """Let go of a client that has hung up; tell whether it had."""
        sock = self._taken.sock
        if sock is None:
            return True
        # A client without input closes its half at once: it is gone when both are closed.
        state = select.poll()
        state.register(sock.fileno(), 0)
        gone = bool(state.poll(0))
        if gone:
            sock.close()
            self._taken.sock = None
        return gone


async def while_connected(
    request: web.Request, work: Coroutine[Any, Any, web.StreamResponse]
) -> web.StreamResponse:
    """Do what only its client wants, and stop when the client hangs up.

    Raises: ConnectionResetError(it did).
    """
    if request.transport is None:
        work.close()
        raise ConnectionResetError("the client is gone")
    task = asyncio.ensure_future(work)
    with Hangup(request.transport.get_extra_info("socket").fileno()) as hangup:
        gone = asyncio.ensure_future(hangup.happened.wait())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
    if task.cancelled():
        raise ConnectionResetError("the client is gone")
    return task.result()


_NAMED_KEYS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def detach_keys(text: str | None) -> bytes:
    """Return the bytes of keys such as "ctrl-p,ctrl-q", Docker's default.

    Raises: InvalidArgument(unknown key).
    """
    result = bytearray()
    for word in (text or "ctrl-p,ctrl-q").split(","):
        key = word.removeprefix("ctrl-")
        if word != key and len(key) == 1 and key.isascii() and key.isalpha():
            result.append(ord(key.lower()) - 96)
        elif word != key and key in _NAMED_KEYS:
            result.append(_NAMED_KEYS[key])
        elif len(word) == 1 and word.isascii():
            result += word.encode()
        else:
            raise InvalidArgument(f"Invalid detach keys ({text}) provided")
    return bytes(result)


async def bridge(websocket: web.WebSocketResponse, sock: socket.socket, *, text: bool) -> None:
    """Carry bytes between a websocket and a process's socket until either ends."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)

    async def inward() -> None:
        async for message in websocket:
            data = message.data
            await loop.sock_sendall(sock, data.encode() if isinstance(data, str) else data)
        sock.shutdown(socket.SHUT_WR)

    typing = asyncio.ensure_future(inward())
    try:
        while data := await loop.sock_recv(sock, PIECE):
            if text:
                await websocket.send_str(data.decode(errors="replace"))
            else:
                await websocket.send_bytes(data)
    finally:
        typing.cancel()


def frame(stream: int, data: bytes) -> bytes:
    """Return data as one frame of a multiplexed stream."""
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data

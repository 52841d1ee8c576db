"""An asynchronous client of any Docker Engine API on a unix socket: streams and consoles."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx

from engine.client.client import (
    TIMEOUT,
    VERSION,
    EngineRefused,
    EngineUnreachable,
    container_path,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ENDLESS = httpx.Timeout(None, connect=3.0)
CHUNK = 64 * 1024
PATIENCE = 30.0  # seconds for a command to start


@dataclass
class Console:
    """An exec with a terminal: what it prints is read, what is typed is written."""

    exec_id: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class AsyncEngineClient:
    """One connection pool to one engine; use it in an `async with` statement."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        transport = httpx.AsyncHTTPTransport(uds=socket, limits=httpx.Limits(max_connections=32))
        base = f"http://engine/{VERSION}"
        self._http = httpx.AsyncClient(transport=transport, base_url=base, timeout=TIMEOUT)

    async def __aenter__(self) -> Self:
        """Return the open client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
    ) -> Any:
        """Ask and return the answer's JSON, None for an empty one.

        Raises: EngineUnreachable · EngineRefused(status, the engine's words).
        """
        try:
            response = await self._http.request(method, path, params=query, json=body)
        except httpx.HTTPError as error:
            raise EngineUnreachable(f"the engine does not answer: {error}") from error
        _check(response.status_code, response.content)
        return response.json() if response.content else None

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the engine's events from now on. Raises: EngineUnreachable · EngineRefused."""
        async for line in self._lines("/events", {}):
            yield line

    async def stats(self, container_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield a container's figures about once a second until it is removed."""
        async for line in self._lines(f"{container_path(container_id)}/stats", {"stream": 1}):
            yield line

    async def all_stats(self) -> list[dict[str, Any]]:
        """Return the figures of every running container of this moment, in one answer."""
        rows: list[dict[str, Any]] = await self.call("GET", "/hythe/stats")
        return rows

    async def logs(
        self, container_id: str, *, terminal: bool, query: dict[str, Any]
    ) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (stream, bytes): 1 is stdout, 2 stderr; a frame is not always a whole line.

        `terminal` says that the container has one: its log has no frames.
        """
        path = f"{container_path(container_id)}/logs"
        async with self._stream(path, query) as response:
            held = bytearray()
            async for piece in response.aiter_raw():
                if terminal:
                    yield 1, piece
                    continue
                held += piece
                start = 0
                while len(held) - start >= 8:
                    end = start + 8 + int.from_bytes(held[start + 4 : start + 8], "big")
                    if len(held) < end:
                        break
                    yield held[start], bytes(held[start + 8 : end])
                    start = end
                del held[:start]

    async def open_console(
        self, container_id: str, *, command: list[str], user: str, rows: int, columns: int
    ) -> Console:
        """Run a command with a terminal; the caller closes the writer.

        Raises: EngineUnreachable · EngineRefused(no such container, not running, no such program).
        """
        body = {
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": True,
            "Cmd": command,
            "User": user,
            "Env": ["TERM=xterm-256color"],
            "ConsoleSize": [rows, columns],
        }
        path = f"{container_path(container_id)}/exec"
        exec_id: str = (await self.call("POST", path, body=body))["Id"]
        start = {"Detach": False, "Tty": True, "ConsoleSize": [rows, columns]}
        reader, writer = await self._take_over(f"/exec/{exec_id}/start", start)
        return Console(exec_id, reader, writer)

    async def resize_console(self, console: Console, rows: int, columns: int) -> None:
        """Tell the terminal its size."""
        query = {"h": rows, "w": columns}
        await self.call("POST", f"/exec/{console.exec_id}/resize", query=query)

    async def inspect_container(self, container_id: str) -> dict[str, Any]:
        """Return one container's full description."""
        row: dict[str, Any] = await self.call("GET", f"{container_path(container_id)}/json")
        return row

    async def exit_code(self, console: Console) -> int | None:
        """Return how the command ended, None while it runs."""
        row = await self.call("GET", f"/exec/{console.exec_id}/json")
        code: int | None = row["ExitCode"]
        return code

    async def _take_over(
        self, path: str, body: dict[str, Any]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask for a connection that stops being HTTP after the answer's head."""
        data = json.dumps(body).encode()
        head = (
            f"POST /{VERSION}{path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\n"
            f"Upgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_unix_connection(self._socket)
                writer.write(head.encode() + data)
                answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (OSError, asyncio.IncompleteReadError) as error:
            raise EngineUnreachable(f"the engine does not answer: {error}") from error
        status = int(answer.split(" ", 2)[1])
        if status not in (101, 200):
            fields = dict(
                line.lower().split(": ", 1) for line in answer.split("\r\n")[1:] if ": " in line
            )
            text = await reader.read(int(fields.get("content-length", CHUNK)))
            writer.close()
            _check(status, text)
        return reader, writer

    async def _lines(self, path: str, query: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        async with self._stream(path, query) as response:
            async for line in response.aiter_lines():
                if line.strip():
                    yield json.loads(line)

    def _stream(self, path: str, query: dict[str, Any]) -> _Stream:
        return _Stream(self._http, path, query)


class _Stream:
    """A streamed answer whose failures are the client's own errors."""

    def __init__(self, http: httpx.AsyncClient, path: str, query: dict[str, Any]) -> None:
        self._context = http.stream("GET", path, params=query, timeout=ENDLESS)

    async def __aenter__(self) -> httpx.Response:
        try:
            response = await self._context.__aenter__()
            if response.is_error:
                text = await response.aread()
                await self._context.__aexit__(None, None, None)
                _check(response.status_code, text)
        except httpx.HTTPError as error:
            raise EngineUnreachable(f"the engine does not answer: {error}") from error
        return response

    async def __aexit__(self, kind: Any, value: Any, trace: Any) -> None:
        await self._context.__aexit__(kind, value, trace)
        if isinstance(value, httpx.HTTPError):
            raise EngineUnreachable(f"the engine went away: {value}") from value


def _check(status: int, text: bytes) -> None:
    if status < 400:
        return
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        message = text.decode(errors="replace") or f"status {status}"
    raise EngineRefused(status, message)

"""Live streams of one container: its log, its figures, a console in it."""

from __future__ import annotations

import asyncio
import logging
import shlex
import time
from datetime import UTC, datetime
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from accounts.api.sockets import ENDED, Socket, parse
from common.errors import AppError, Invalid, Unreachable
from common.permissions import Permission
from engine.client.aio import CHUNK, AsyncEngineClient, Console
from engine.client.client import EngineRefused, EngineUnreachable
from environments.figures import figures
from environments.models import Environment
from environments.services import get_environment, translate
from workloads.services import record_console

log = logging.getLogger(__name__)
BATCH_SECONDS = 0.05
BATCH_BYTES = 64 * 1024
HELD_BYTES = 1024 * 1024  # of log, before the engine's stream is left to wait
SHELL = ["/bin/sh", "-c", "exec $(command -v bash || command -v ash || echo /bin/sh)"]


class UnknownConsumer(AsyncWebsocketConsumer):  # type: ignore[misc] # channels has no types
    """Refuses every other address."""

    async def connect(self) -> None:
        """Refuse."""
        await self.close()


class ContainerSocket(Socket):
    """A websocket about one container."""

    permission = Permission.CONTAINER_VIEW
    environment: Environment

    async def allow(self) -> None:
        """Go through the door."""
        self.environment = await database_sync_to_async(get_environment)(
            user=self.user,
            reference=self.scope["url_route"]["kwargs"]["environment"],
            permission=self.permission,
        )

    @property
    def ref(self) -> str:
        """The container that the address names."""
        ref: str = self.scope["url_route"]["kwargs"]["ref"]
        return ref

    async def run(self) -> None:
        """Work with the engine; its errors become ours."""
        try:
            async with AsyncEngineClient(self.environment.socket) as engine:
                await self.work(engine)
        except EngineUnreachable as error:
            raise Unreachable(f"The engine of {self.environment.name} does not answer.") from error
        except EngineRefused as error:
            raise translate(error) from error
        await self.close(ENDED)

    async def work(self, engine: AsyncEngineClient) -> None:
        """Do what the websocket is for; the end of it is the end of the websocket."""
        raise NotImplementedError


class LogsConsumer(ContainerSocket):
    """The log, in batches of [milliseconds, "o" or "e", text]."""

    async def work(self, engine: AsyncEngineClient) -> None:
        """Read the tail, then follow."""
        wish = self.query()
        follow = wish.get("follow", "1") not in ("0", "false")
        tail = wish.get("tail", "1000")
        if not (tail.isdigit() or tail == "all"):
            raise Invalid("tail must be a number or all.")
        query = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow), "tail": tail}
        if wish.get("since"):
            query["since"] = wish["since"]
        row = await engine.inspect_container(self.ref)
        self._lines: list[tuple[int, str, str]] = []
        self._held = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()
        sender = asyncio.ensure_future(self._send())
        try:
            await self._read(engine, terminal=bool(row["Config"]["Tty"]), query=query)
            self._news.set()
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        await self._flush()
        await self.send_json({"end": True})

    async def _read(
        self, engine: AsyncEngineClient, *, terminal: bool, query: dict[str, Any]
    ) -> None:
        rest = {1: b"", 2: b""}
        async for stream, piece in engine.logs(self.ref, terminal=terminal, query=query):
            *lines, rest[stream] = (rest[stream] + piece).split(b"\n")
            for line in lines:
                self._lines.append(parsed(stream, line))
                self._held += len(line) + 32
            if lines:
                self._news.set()
            if self._held > HELD_BYTES:
                self._room.clear()
                await self._room.wait()
        for stream, line in rest.items():
            if line:
                self._lines.append(parsed(stream, line))

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            if self._held < BATCH_BYTES:
                await asyncio.sleep(BATCH_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        lines, self._lines, self._held = self._lines, [], 0
        self._news.clear()
        self._room.set()
        begin, size = 0, 0
        for index, line in enumerate(lines):
            size += len(line[2]) + 32
            if size > BATCH_BYTES:
                await self.send_json({"lines": lines[begin : index + 1], "dropped": 0})
                begin, size = index + 1, 0
        if lines[begin:]:
            await self.send_json({"lines": lines[begin:], "dropped": 0})


class StatsConsumer(ContainerSocket):
    """The container's figures, one message a second."""

    async def work(self, engine: AsyncEngineClient) -> None:
        """Send until the container is removed."""
        await self.send_json({"history": []})
        earlier: dict[str, Any] | None = None
        async for row in engine.stats(self.ref):
            shown = figures(row, earlier)
            if shown and earlier:
                await self.send_json({"at": int(time.time() * 1000), **shown})
            earlier = row if shown else None


class ConsoleConsumer(ContainerSocket):
    """A terminal in the container: bytes both ways, sizes and the exit code as text."""

    permission = Permission.CONTAINER_CONSOLE
    _console: Console | None = None
    _engine: AsyncEngineClient | None = None

    async def connect(self) -> None:
        """Begin; what is typed before the console is open waits."""
        self._begun = asyncio.Event()
        await super().connect()

    async def disconnect(self, code: int) -> None:
        """Stop."""
        self._begun.set()
        await super().disconnect(code)

    async def run(self) -> None:
        """Work; however it ends, nothing waits for it any more."""
        try:
            await super().run()
        finally:
            self._begun.set()

    async def work(self, engine: AsyncEngineClient) -> None:
        """Run the command and show what it prints."""
        wish = self.query()
        try:
            command = shlex.split(wish.get("command", "")) or SHELL
            rows, columns = int(wish.get("rows", "24")), int(wish.get("columns", "80"))
        except ValueError as error:
            raise Invalid(f"The command cannot be read: {error}.") from error
        try:
            console = await engine.open_console(
                self.ref, command=command, user=wish.get("user", ""), rows=rows, columns=columns
            )
        except EngineRefused as error:
            await self._record(command, "refused")
            raise translate(error) from error
        await self._record(command, "ok")
        self._console, self._engine = console, engine
        self._begun.set()
        try:
            while data := await console.reader.read(CHUNK):
                await self.send(bytes_data=data)
        finally:
            self._console = None
            console.writer.close()
        await self.send_json({"exit": await engine.exit_code(console)})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Type, or resize."""
        await self._begun.wait()
        if self._console is None or self._engine is None:
            return
        if bytes_data:
            try:
                self._console.writer.write(bytes_data)
                await self._console.writer.drain()
            except ConnectionError:
                log.debug("typed after the command ended")
            return
        try:
            size = parse(text_data).get("resize")
            if not (isinstance(size, list) and len(size) == 2 and all(map(_is_size, size))):
                raise Invalid("resize takes rows and columns.")
            await self._engine.resize_console(self._console, *size)
        except AppError as error:
            failure = {"code": error.code, "message": error.message}
            await self.send_json({"type": "error", "error": failure})
        except EngineRefused:
            return  # the command ended in this moment

    async def _record(self, command: list[str], result: str) -> None:
        await database_sync_to_async(record_console)(
            actor=self.actor(),
            environment=self.environment,
            container_id=self.ref,
            command=shlex.join(command),
            result=result,
        )


def _is_size(value: object) -> bool:
    return isinstance(value, int) and 0 < value < 10_000


def parsed(stream: int, line: bytes) -> tuple[int, str, str]:
    """Return (milliseconds since 1970, stream, text) of a line with its timestamp."""
    stamp, _, text = line.decode(errors="replace").partition(" ")
    try:
        moment = datetime.fromisoformat(stamp[:23].rstrip("Z")).replace(tzinfo=UTC)
        milliseconds = int(moment.timestamp() * 1000)
    except ValueError:  # the first half of a line longer than the engine's buffer had the time
        milliseconds, text = 0, f"{stamp} {text}"
    return milliseconds, "e" if stream == 2 else "o", text.rstrip("\r")

"""The resolver that containers on networks with names ask at 127.0.0.11.

The sockets stand in each container's own network namespace; its supervisor keeps them, so a
question asked while no engine runs is answered by the next. What is not a container's name is
passed on, byte for byte, to the servers that the container or the host asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.networks.resolver import nameservers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import ModuleType

log = logging.getLogger(__name__)

LARGEST = 65535
PATIENCE = 4.0  # seconds for one server
MOST_ASKED = 3  # servers
MOST_AT_ONCE = 100  # questions of one container that others are asked
MOST_STREAMS = 100
QUIET = 10.0  # seconds after which a silent TCP connection is closed
HOST_FILE = Path("/etc/resolv.conf")
HEADER = 12  # bytes of every message
_GO_ON = (2, 5)  # SERVFAIL, REFUSED


class Names:
    """What the resolver asks about the containers' networks."""

    def addresses(self, container_id: str, name: str) -> list[str] | None:
        """Return the addresses that a name means to a container, None when it is no name here."""
        raise NotImplementedError

    def reverse(self, container_id: str, address: str) -> str | None:
        """Return the name of an address that a container can see."""
        raise NotImplementedError

    def is_known(self, container_id: str) -> bool:
        """Tell whether a container runs and has a network."""
        raise NotImplementedError

    def servers(self, container_id: str) -> Sequence[str] | None:
        """Return the servers for other names: () for the host's, None for none at all."""
        raise NotImplementedError


class _Client:
    """The resolver's side of one container."""

    def __init__(self, datagrams: socket.socket, server: asyncio.Server) -> None:
        self.datagrams = datagrams
        self.server = server
        self.asking: set[asyncio.Task[None]] = set()
        self.streams = 0


class Resolver:
    """Answers every container's questions."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._clients: dict[str, _Client] = {}
        self._host_servers: tuple[tuple[int, int], list[str]] = ((0, 0), [])

    @staticmethod
    def _library() -> ModuleType:
        # Where no container has names the daemon does without the library's memory.
        from engine.networks import messages

        return messages

    async def serve(self, container_id: str, sockets: Sequence[socket.socket]) -> None:
        """Answer at a container's sockets, UDP and TCP; they stay the caller's."""
        self.stop(container_id)
        datagrams, streams = (sock.dup() for sock in sockets)
        datagrams.setblocking(False)
        server = await asyncio.start_server(partial(self._stream, container_id), sock=streams)
        if not self._names.is_known(container_id):
            datagrams.close()  # it ended meanwhile
            server.close()
            return
        client = _Client(datagrams, server)
        self._clients[container_id] = client
        loop = asyncio.get_running_loop()
        loop.add_reader(datagrams.fileno(), self._datagram, container_id, client)

    def stop(self, container_id: str) -> None:
        """Answer a container no longer; one that is not served is fine."""
        if client := self._clients.pop(container_id, None):
            asyncio.get_running_loop().remove_reader(client.datagrams.fileno())
            client.datagrams.close()
            client.server.close()
            for task in client.asking:
                task.cancel()

    def close(self) -> None:
        """Answer nobody any more."""
        for container_id in list(self._clients):
            self.stop(container_id)

    def _datagram(self, container_id: str, client: _Client) -> None:
        for _ in range(64):  # others have their turn too
            try:
                question, address = client.datagrams.recvfrom(LARGEST)
            except (BlockingIOError, ConnectionError):
                return
            if _is_no_question(question):
                continue
            answer = self._library().answer(self._names, container_id, question, by_stream=False)
            if answer is not None:
                _send(client.datagrams, answer, address)
                continue
            if len(client.asking) >= MOST_AT_ONCE:
                _send(client.datagrams, self._library().failure(question), address)
                continue
            task = asyncio.ensure_future(self._pass_on(container_id, client, question, address))
            client.asking.add(task)
            task.add_done_callback(client.asking.discard)

    async def _pass_on(
        self, container_id: str, client: _Client, question: bytes, address: tuple[str, int]
    ) -> None:
        answer = await self._ask(container_id, question, _ask_by_datagram)
        _send(client.datagrams, answer, address)

    async def _stream(
        self, container_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        client = self._clients.get(container_id)
        if client is None or client.streams >= MOST_STREAMS:
            writer.close()
            return
        client.streams += 1
        try:
            while True:
                async with asyncio.timeout(QUIET):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    question = await reader.readexactly(length)
                if _is_no_question(question):
                    return
                answer = self._library().answer(self._names, container_id, question, by_stream=True)
                if answer is None:
                    answer = await self._ask(container_id, question, _ask_by_stream)
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            pass  # the client has what it wanted, or is gone
        finally:
            client.streams -= 1
            writer.close()

    async def _ask(
        self,
        container_id: str,
        question: bytes,
        ask: Callable[[str, bytes], Coroutine[Any, Any, bytes]],
    ) -> bytes:
        """Return the first server's answer that came, or a failure in its place."""
        servers = self._names.servers(container_id)
        if servers is None:
            refusal: bytes = self._library().failure(question)
            return refusal
        answer = b""
        for server in (servers or self._hosts())[:MOST_ASKED]:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(PATIENCE):
                    answer = await ask(server, question)
                # One that cannot, or will not, leaves it to the next.
                if len(answer) >= HEADER and answer[3] & 0x0F not in _GO_ON:
                    break
        if not answer:
            answer = self._library().failure(question)
        return answer

    def _hosts(self) -> list[str]:
        """Return the host's own servers, read again when the file changed."""
        try:
            found = HOST_FILE.stat()
        except OSError:
            return []
        version = (found.st_mtime_ns, found.st_ino)
        if self._host_servers[0] != version:
            text = HOST_FILE.read_text(encoding="utf-8", errors="replace")
            self._host_servers = (version, nameservers(text))
        return self._host_servers[1]


def _send(sock: socket.socket, data: bytes, address: tuple[str, int]) -> None:
    # Who asked may be gone, or its buffer full: it asks again.
    with contextlib.suppress(OSError):
        sock.sendto(data, address)


def _is_no_question(data: bytes) -> bool:
    """Tell what is too short for DNS, or an answer: neither is answered."""
    return len(data) < HEADER or bool(data[2] & 0x80)


def _place(server: str) -> tuple[int, tuple[str, int]]:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    return family, (server, 53)


async def _ask_by_datagram(server: str, question: bytes) -> bytes:
    """Ask one server by UDP, under a number that nobody else can know."""
    family, place = _place(server)
    number = os.urandom(2)
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, place)  # only this server's answers are heard then
        await loop.sock_sendall(sock, number + question[2:])
        while True:
            answer = await loop.sock_recv(sock, LARGEST)
            if answer[:2] == number:
                return question[:2] + answer[2:]


async def _ask_by_stream(server: str, question: bytes) -> bytes:
    _, place = _place(server)
    reader, writer = await asyncio.open_connection(*place)
    try:
        writer.write(struct.pack("!H", len(question)) + question)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()

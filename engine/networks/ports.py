"""Published ports: each is held by a bound socket, so that nobody else gets it.

What nf_tables cannot lead on, connections to IPv6's loopback and from IPv6 to a container that
has none, arrives at that socket and is passed on by the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.core.errors import Internal, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.networks.model import PortBinding

PIECE = 1 << 16
ATTEMPTS = 16  # at a port that is free for both families
_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}


@dataclass(frozen=True)
class PublishedPort:
    """A port of the host that leads to a port of a container."""

    host_ip: str
    host_port: int
    protocol: str
    container_ip: str
    container_port: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


class Reservations:
    """The sockets that hold the ports, by container, and what passes through them."""

    def __init__(self) -> None:
        self._held: dict[str, list[socket.socket]] = {}
        self._taken: dict[str, set[tuple[str, str, int]]] = {}
        self._servers: dict[str, list[asyncio.Server]] = {}

    def take(
        self, container_id: str, bindings: Iterable[PortBinding], ipv4: str, ipv6: str
    ) -> list[PublishedPort]:
        """Reserve every port that is asked for; `ipv4` and `ipv6` are the container's.

        Raises: Internal("Bind for …: port is already allocated"); then none is held.
        """
        published = []
        try:
            for binding in bindings:
                published += self._take_one(container_id, binding, ipv4, ipv6)
        except BaseException:
            self.release(container_id)
            raise
        return published

    def _take_one(
        self, container_id: str, binding: PortBinding, ipv4: str, ipv6: str
    ) -> list[PublishedPort]:
        if binding.protocol not in _KINDS:
            raise InvalidArgument(f"Invalid proto: {binding.protocol}")
        addresses = [binding.host_ip] if binding.host_ip else ["0.0.0.0", "::"]
        if binding.protocol != "tcp" and not ipv6:
            addresses = [item for item in addresses if ":" not in item or binding.host_ip]
        if not ipv4 and not binding.host_ip:
            addresses = ["::"]
        first, last = binding.host_port, max(binding.host_port, binding.host_port_end)
        attempts = ATTEMPTS if not first else last - first + 1
        for attempt in range(attempts):
            try:
                sockets = self._bind(addresses, first + attempt if first else 0, binding)
            except OSError as error:
                if error.errno == errno.EADDRINUSE and attempt + 1 < attempts:
                    continue
                shown = _shown(addresses[0], first + attempt if first else 0)
                if error.errno == errno.EADDRINUSE:
                    raise Internal(f"Bind for {shown} failed: port is already allocated") from error
                raise Internal(
                    f"failed to bind host port for {shown}/{binding.protocol}: {error.strerror}"
                ) from error
            break
        result = []
        for address, port, sock in sockets:
            target = (ipv6 or ipv4) if ":" in address else (ipv4 or ipv6)
            self._hold(container_id, sock, (address, binding.protocol, port))
            result.append(
                PublishedPort(address, port, binding.protocol, target, binding.container_port)
            )
        return result

    def _bind(
        self, addresses: list[str], port: int, binding: PortBinding
    ) -> list[tuple[str, int, socket.socket | None]]:
        """Return (address, port, socket) of one port at every address. Raises: OSError."""
        found: list[tuple[str, int, socket.socket | None]] = []
        try:
            for address in addresses:
                key = (address, binding.protocol, port)
                if port and any(key in taken for taken in self._taken.values()):
                    raise OSError(errno.EADDRINUSE, "address in use")
                try:
                    sock = _open(binding.protocol, address, port)
                except OSError as error:
                    unavailable = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
                    if address == "::" and not binding.host_ip and error.errno in unavailable:
                        continue  # a machine without IPv6
                    raise
                port = sock.getsockname()[1] if sock else port
                if not port:
                    raise OSError(errno.EPROTONOSUPPORT, "this kernel chooses no SCTP port")
                found.append((address, port, sock))
        except OSError:
            for _, _, sock in found:
                if sock:
                    sock.close()
            raise
        return found

    def _hold(
        self, container_id: str, sock: socket.socket | None, key: tuple[str, str, int]
    ) -> None:
        if sock:
            self._held.setdefault(container_id, []).append(sock)
        self._taken.setdefault(container_id, set()).add(key)

    def retake(self, container_id: str, ports: Iterable[PublishedPort]) -> None:
        """Hold the ports of a container that runs already, as far as they can be had."""
        for port in ports:
            sock = None
            # Taken while the engine was away: the rule still leads to the container.
            with contextlib.suppress(OSError):
                sock = _open(port.protocol, port.host_ip, port.host_port)
            self._hold(container_id, sock, (port.host_ip, port.protocol, port.host_port))

    async def pass_on(self, container_id: str, ports: Iterable[PublishedPort]) -> None:
        """Serve at the sockets that connections can arrive at."""
        wanted = {
            (p.host_ip, p.host_port): p for p in ports if p.protocol == "tcp" and p.container_ip
        }
        for server in self._servers.pop(container_id, ()):
            server.close()
        servers = self._servers.setdefault(container_id, [])
        for sock in self._held.get(container_id, ()):
            if sock.family is not socket.AF_INET6 or sock.type is not socket.SOCK_STREAM:
                continue
            name = sock.getsockname()
            port = wanted.get((name[0], name[1]))
            if (port and port.host_ip in ("::", "::1")) or (port and ":" not in port.container_ip):
                pump = _Pump(port.container_ip, port.container_port)
                servers.append(await asyncio.start_server(pump.serve, sock=sock.dup()))

    def release(self, container_id: str) -> None:
        """Let a container's ports go; one that holds none is fine."""
        for server in self._servers.pop(container_id, ()):
            server.close()
        for sock in self._held.pop(container_id, ()):
            sock.close()
        self._taken.pop(container_id, None)


class _Pump:
    """Passes connections on to one port of a container."""

    def __init__(self, address: str, port: int) -> None:
        self._address = address
        self._port = port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect, and copy both ways until both have ended."""
        try:
            far_reader, far_writer = await asyncio.open_connection(self._address, self._port)
        except OSError:
            writer.transport.abort()  # as if nobody listened
            return
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        except OSError:
            writer.transport.abort()
        finally:
            far_writer.close()
            writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(PIECE):
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()


def _shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _open(protocol: str, address: str, port: int) -> socket.socket | None:
    """Return a bound socket, None where the kernel itself has not the protocol."""
    kind, number = _KINDS[protocol]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, kind, number)
    except OSError as error:
        if protocol == "sctp" and error.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
            return None  # packets pass it all the same
        raise
    try:
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind is socket.SOCK_STREAM:
            # What was passed on leaves connections behind that are over but remembered.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind is socket.SOCK_STREAM:
            # A bound socket that does not listen would let a second one listen.
            sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock

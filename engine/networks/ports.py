"""Published ports: each is held by a bound socket, so that nobody else gets it."""

from __future__ import annotations

import errno
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.core.errors import Internal, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.networks.model import PortBinding


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
    """The sockets that hold the ports, by container."""

    def __init__(self) -> None:
        self._held: dict[str, list[socket.socket]] = {}

    def take(
        self, container_id: str, bindings: Iterable[PortBinding], container_ip: str
    ) -> list[PublishedPort]:
        """Reserve every port that is asked for.

        Raises: Internal("Bind for …: port is already allocated"); then none is held.
        """
        held = self._held.setdefault(container_id, [])
        published = []
        try:
            for binding in bindings:
                sock = _bind(binding)
                held.append(sock)
                port = sock.getsockname()[1]
                published.append(
                    PublishedPort(
                        binding.host_ip or "0.0.0.0",
                        port,
                        binding.protocol,
                        container_ip,
                        binding.container_port,
                    )
                )
        except BaseException:
            self.release(container_id)
            raise
        return published

    def retake(self, container_id: str, ports: Iterable[PublishedPort]) -> None:
        """Hold the ports of a container that runs already, as far as they can be had."""
        held = self._held.setdefault(container_id, [])
        for port in ports:
            kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
            try:
                held.append(_open(kind, port.host_ip, port.host_port))
            except OSError:
                # Taken while the engine was away: the rule still leads to the container.
                continue

    def release(self, container_id: str) -> None:
        """Let a container's ports go; one that holds none is fine."""
        for sock in self._held.pop(container_id, ()):
            sock.close()


def _bind(binding: PortBinding) -> socket.socket:
    if binding.protocol not in ("tcp", "udp"):
        raise InvalidArgument(f"Invalid proto: {binding.protocol}")
    kind = socket.SOCK_STREAM if binding.protocol == "tcp" else socket.SOCK_DGRAM
    first = binding.host_port
    for port in range(first, max(first, binding.host_port_end) + 1):
        try:
            return _open(kind, binding.host_ip or "0.0.0.0", port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port < binding.host_port_end:
                continue
            shown = f"{binding.host_ip or '0.0.0.0'}:{port}"
            if error.errno == errno.EADDRINUSE:
                raise Internal(f"Bind for {shown} failed: port is already allocated") from error
            raise Internal(
                f"failed to bind host port for {shown}/{binding.protocol}: {error.strerror}"
            ) from error
    raise Internal("no port in the range is free")


def _open(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        sock.bind((address, port))
        if kind is socket.SOCK_STREAM:
            # A bound socket that does not listen would let a second one listen.
            sock.listen(1)
    except OSError:
        sock.close()
        raise
    return sock

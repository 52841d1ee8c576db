"""Messages between engine, spawner and supervisor: JSON in one packet, descriptors beside it."""

from __future__ import annotations

import json
import socket
from typing import Any

SO_SNDBUFFORCE = 32
LIMIT = 4 * 1024 * 1024  # bytes of one message; a spec with a large environment fits


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected packet sockets that take messages of any allowed size."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        allow_large(end)
    return ends


def allow_large(end: socket.socket) -> None:
    """Let a packet be as large as LIMIT; the system's default is 208 KiB."""
    end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, LIMIT)


def send(end: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Send one message. Raises OSError(EMSGSIZE, EPIPE, …)."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if fds:
        socket.send_fds(end, [data], fds)
    else:
        end.send(data)


def receive(end: socket.socket, most_fds: int = 16) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next message with its descriptors, None at the end of the connection."""
    length = end.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
    if length == 0:
        return None
    data, fds, _, _ = socket.recv_fds(end, length, most_fds, socket.MSG_CMSG_CLOEXEC)
    return json.loads(data), fds

"""Whether an instance answers."""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import Any

from launcher.instance import Instance

TIMEOUT = 3.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


def engine_answers(instance: Instance) -> bool:
    """Tell whether the engine answers a ping."""
    connection = UnixConnection(os.fspath(instance.engine_socket))
    return _get(connection, "/_ping") is not None


def engine_info(instance: Instance) -> dict[str, Any]:
    """Return the engine's /info, empty when it does not answer."""
    return _object(_get(UnixConnection(os.fspath(instance.engine_socket)), "/info"))


def web_health(instance: Instance) -> dict[str, Any]:
    """Return the platform's own health report, empty when it does not answer."""
    return _object(_get(_web(instance), "/api/v1/health"))


def session(instance: Instance) -> dict[str, Any]:
    """Return the anonymous session, which tells whether setup is still to be done."""
    return _object(_get(_web(instance), "/api/v1/session"))


def _web(instance: Instance) -> http.client.HTTPConnection:
    host = instance.reachable_host.strip("[]")
    return http.client.HTTPConnection(host, instance.port, timeout=TIMEOUT)


def _get(connection: http.client.HTTPConnection, path: str) -> bytes | None:
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if response.status == 200 else None


def _object(body: bytes | None) -> dict[str, Any]:
    if body is None:
        return {}
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

"""Debian's docker-registry on a free loopback port."""

from __future__ import annotations

import http.client
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.engine import wait_until


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running_registry(directory: Path, auth: str = "") -> Iterator[str]:
    """Yield host:port of a registry that keeps its blobs in `directory`.

    `auth` is the registry's own configuration of who may enter, {address} filled in.
    """
    port = free_port()
    address = f"127.0.0.1:{port}"
    config = directory / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {directory}}}}}\n"
        f"http: {{addr: '{address}'}}\n" + auth
    )
    with (directory / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)

    def answers() -> bool:
        connection = http.client.HTTPConnection(address, timeout=2)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in (200, 401)
        except OSError:
            return False
        finally:
            connection.close()

    try:
        wait_until(answers, "the registry answers")
        yield address
    finally:
        process.terminate()
        process.wait(20)

"""A whole Hythe, started as a person starts it."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.images import busybox, push
from tests.support.registry import free_port, running_registry

TREE = Path(__file__).parents[2]


class Hythe:
    """One instance with its administrator's token."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.engine = EngineUnderTest(data)
        self.token = ""

    def launcher(self, *words: str, text: str = "", check: bool = True) -> str:
        """Run ./hythe and return what it printed."""
        command = ["./hythe", *words, "--data", str(self.data)]
        result = subprocess.run(
            command, cwd=TREE, input=text, capture_output=True, text=True, timeout=300, check=False
        )
        assert not check or result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result.stdout

    def call(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """Ask the REST API; return (status, JSON)."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """Return host:port of a real registry with team/busybox:1."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        layout = busybox().write(tmp_path_factory.mktemp("layout"), "busybox")
        push(layout, "busybox", f"{address}/team/busybox:1")
        yield address


@pytest.fixture(scope="session")
def hythe(tmp_path_factory):
    """Return a running instance with an administrator."""
    hythe = Hythe(tmp_path_factory.mktemp("hythe"))
    printed = hythe.launcher("up", "--detach", "--port", str(hythe.port))
    assert "/setup?token=" in printed
    hythe.launcher("setup", "--username", "rosa", "--password-stdin", text="a harbour of reeds\n")
    created = hythe.launcher("token", "create", "--user", "rosa", "--name", "tests")
    hythe.token = created.split()[-1]
    yield hythe
    hythe.engine.remove_containers()
    wait_until(lambda: not hythe.engine.leftovers(), "nothing of a container is left")
    hythe.launcher("down")
    hythe.engine.dismantle()

"""A whole Hythe, started as a person starts it."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.support.debian import nginx
from tests.support.engine import EngineUnderTest, wait_until
from tests.support.images import busybox, push
from tests.support.registry import free_port, running_registry

TREE = Path(__file__).parents[2]
# Root has no sandbox of its own, and nothing may be asked of the network.
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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
def nginx_image(registry, tmp_path_factory):
    """Return the reference of nginx on Debian in the registry."""
    layout = nginx().write(tmp_path_factory.mktemp("nginx"), "nginx")
    push(layout, "nginx", f"{registry}/library/nginx:1")
    return f"{registry}/library/nginx:1"


@contextmanager
def running_instance(directory: Path) -> Iterator[tuple[Hythe, str]]:
    """Yield an instance and what its first start printed; nothing of it is left afterwards."""
    hythe = Hythe(directory)
    printed = hythe.launcher("up", "--detach", "--port", str(hythe.port))
    try:
        yield hythe, printed
        hythe.engine.remove_containers()
        wait_until(lambda: not hythe.engine.leftovers(), "nothing of a container is left")
    finally:
        hythe.launcher("down")
        hythe.engine.dismantle()


@pytest.fixture(scope="session")
def hythe(tmp_path_factory):
    """Return a running instance with an administrator."""
    with running_instance(tmp_path_factory.mktemp("hythe")) as (hythe, printed):
        assert "/setup?token=" in printed
        text = "a harbour of reeds\n"
        hythe.launcher("setup", "--username", "rosa", "--password-stdin", text=text)
        created = hythe.launcher("token", "create", "--user", "rosa", "--name", "tests")
        hythe.token = created.split()[-1]
        yield hythe


@pytest.fixture
def page():
    """Return a page of a real browser that notes every refusal of the content policy."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=BROWSER_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(20_000)
        page.violations, page.faults = [], []
        page.expose_function("noteViolation", lambda told: page.violations.append(told))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (e) =>"
            " noteViolation(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`))"
        )
        page.on("pageerror", lambda error: page.violations.append(f"error: {error}"))
        yield page
        browser.close()


def chromium() -> str:
    """Return the path of Debian's browser."""
    found = shutil.which("chromium")
    assert found, "chromium is not installed"
    return found

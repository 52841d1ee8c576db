"""The whole product in a real browser: from the one-time link to a container that exits."""

from __future__ import annotations

import os
import re
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import TREE, running_instance
from tests.support.registry import free_port

AXE = TREE / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
PASSWORD = "a harbour of reeds"
PICTURES = os.environ.get("HYTHE_PICTURES")  # a directory: keep a picture of every page there


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Return an instance that nobody has set up, and its setup link."""
    with running_instance(tmp_path_factory.mktemp("fresh")) as (hythe, printed):
        yield hythe, re.search(r"http\S+/setup\?token=\S+", printed)[0]


def picture(page, name):
    """Keep a picture when somebody asked for them."""
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def check_page(page, name):
    """Look for faults of accessibility in both themes, and for sideways scrolling on a phone."""
    page.evaluate(AXE.read_text())
    for theme in ("light", "dark"):
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme }", theme)
        found = page.evaluate(
            "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
            ".then((r) => r.violations.map((v) => v.id + ': ' +"
            " v.nodes.map((n) => n.html.slice(0, 200)).join(' | ')))"
        )
        page.faults += [f"{name}, {theme}: {fault}" for fault in found]
        picture(page, f"{name}-{theme}")
    page.set_viewport_size({"width": 390, "height": 844})
    width = page.evaluate(
        "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
    )
    picture(page, f"{name}-phone")
    if width > 390:
        page.faults.append(f"{name} scrolls sideways on a phone: {width}")
    page.set_viewport_size({"width": 1440, "height": 900})


def test_first_light(fresh, nginx_image, page):
    """Set up, sign in, pull, run, fetch, read the log, use the console, stop."""
    hythe, link = fresh
    port = free_port()

    page.goto(link)
    check_page(page, "setup")
    page.get_by_label("User name").fill("rosa")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create administrator").click()
    expect(page.get_by_text("too short")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create administrator").click()
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
    expect(page.get_by_text("No containers yet")).to_be_visible()
    check_page(page, "empty")

    page.get_by_role("button", name="Account: rosa").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    check_page(page, "login")
    page.get_by_label("User name").fill("rosa")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("User name or password is wrong.")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()

    page.get_by_role("navigation", name="Main").get_by_role("link", name="Images").click()
    page.get_by_label("Image to pull").fill(nginx_image)
    page.get_by_role("button", name="Pull", exact=True).click()
    job = page.locator("main [data-job]").first
    bars = job.locator("[data-layer]")
    expect(bars).to_have_count(3)
    picture(page, "pull")
    expect(job).to_have_attribute("data-job", "succeeded", timeout=60_000)
    expect(job.locator("[data-layer=done]")).to_have_count(3)
    expect(page.get_by_role("cell", name=nginx_image, exact=True)).to_be_visible()
    check_page(page, "images")

    page.get_by_role("link", name=f"Run {nginx_image}").click()
    expect(page.get_by_label("Image", exact=True)).to_have_value(nginx_image)
    page.get_by_label("Name", exact=True).fill("harbour")
    page.get_by_role("button", name="Publish a port").click()
    page.get_by_label("Host port").fill(str(port))
    page.get_by_label("Container port").fill("80")
    page.get_by_role("button", name="Add a variable").click()
    page.get_by_label("Name", exact=True).nth(1).fill("DB_PASSWORD")
    page.get_by_label("Value").fill("hush")
    page.get_by_label("Memory").fill("256m")
    check_page(page, "new")
    page.get_by_role("button", name="Create container").click()
    expect(page.get_by_role("heading", name="harbour")).to_be_visible()
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    expect(page.get_by_text("256 MiB")).to_be_visible()
    assert "hush" not in page.content()
    check_page(page, "overview")

    page.get_by_role("link", name="Logs").click()
    expect(page.get_by_role("log")).to_be_visible()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/?beacon", timeout=20) as answer:
        assert b"Reeds in the harbour" in answer.read()
    expect(page.get_by_role("log").get_by_text("GET /?beacon")).to_be_visible()
    check_page(page, "logs")
    page.get_by_label("Search the loaded lines").fill("no such line")
    expect(page.get_by_text(re.compile(r"^0 of \d+ lines loaded$"))).to_be_visible()

    page.get_by_role("link", name="Stats").click()
    expect(page.locator(".uplot").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"MiB of 256 MiB")).first).to_be_visible()
    check_page(page, "stats")

    page.get_by_role("link", name="Console").click()
    page.get_by_role("button", name="Open", exact=True).click()
    terminal = page.locator(".xterm-rows")
    expect(terminal).to_contain_text("#")
    page.keyboard.type("nginx -v; echo $((6*7))\n")
    expect(terminal).to_contain_text("nginx version: nginx/")
    expect(terminal).to_contain_text("42")
    picture(page, "console")
    page.keyboard.type("exit 3\n")
    expect(page.get_by_text("Session ended, exit 3.")).to_be_visible()
    check_page(page, "console-ended")

    page.get_by_role("link", name="Inspect").click()
    expect(page.get_by_text('"RestartPolicy"')).to_be_visible()
    check_page(page, "inspect")

    page.get_by_role("navigation", name="Main").get_by_role("link", name="Containers").click()
    row = page.get_by_role("row").filter(has_text="harbour")
    expect(row.get_by_text("Running")).to_be_visible()
    expect(row.get_by_text(re.compile(r"MiB"))).to_be_visible()
    check_page(page, "containers")
    page.get_by_label("Filter by name, image or stack").fill("nothing like it")
    expect(page.get_by_text("0 of 1 match")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    page.get_by_label("Select harbour").click()
    picture(page, "selected")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(row.get_by_text("Exited", exact=True)).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Jobs").click()
    expect(page.get_by_text("Stop 1 container", exact=True)).to_be_visible()
    picture(page, "jobs")
    page.keyboard.press("Escape")

    page.goto(f"{link.split('/setup')[0]}/e/local/containers/harbour")
    expect(page.get_by_text("Exited", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No containers yet")).to_be_visible()
    assert page.faults == []
    assert page.violations == []
    assert hythe.engine.leftovers() == []


def test_documentation_is_browsable(hythe, page):
    """Swagger UI loads from this server alone and lists the routes."""
    page.goto(f"http://127.0.0.1:{hythe.port}/api/docs/")
    expect(page.get_by_text("/api/v1/environments/{environment}/containers").first).to_be_visible()
    assert page.violations == []

"""Takes the picture of the README: `python -m tests.support.picture docs/containers.png`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.e2e.conftest import BROWSER_ARGUMENTS, chromium, running_instance
from tests.support.engine import wait_until
from tests.support.images import busybox, push
from tests.support.registry import free_port, running_registry

BUSY = "while true; do i=0; while [ $i -lt {} ]; do i=$((i+1)); done; sleep 0.4; done"
SERVICES = {
    "checkout-api-1": ("acme/checkout-api:4.12", BUSY.format(30000), 134_217_728, 8080, True),
    "checkout-api-2": ("acme/checkout-api:4.12", BUSY.format(60000), 134_217_728, None, True),
    "storefront-1": ("acme/storefront:2026.11", BUSY.format(9000), 67_108_864, 3000, True),
    "billing-worker-1": ("acme/billing:1.9", BUSY.format(90000), None, None, True),
    "mailer-7": ("acme/mailer:3.2", "sleep 0.2; exit 1", None, None, True),
    "nightly-report": ("acme/billing:1.9", "echo done", None, None, True),
    "migrate-4": ("acme/checkout-api:4.12", "true", None, None, False),
    "cache-1": ("acme/cache:7", "head -c 30000000 /dev/zero | tail", 33_554_432, 6379, True),
}


def main(target: Path) -> None:
    """Start an instance with some work in it and look at its containers."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for name in ("registry", "layout", "data"):
            (root / name).mkdir()
        with (
            running_registry(root / "registry") as registry,
            running_instance(root / "data") as (hythe, _),
        ):
            text = "a harbour of reeds\n"
            hythe.launcher("setup", "--username", "rosa", "--password-stdin", text=text)
            made = hythe.launcher("token", "create", "--user", "rosa", "--name", "picture")
            hythe.token = made.split()[-1]
            layout = busybox().write(root / "layout", "busybox")
            for image in sorted({row[0] for row in SERVICES.values()}):
                push(layout, "busybox", f"{registry}/{image}")
                _pull(hythe, f"{registry}/{image}")
                tag = f"/images/{registry}/{image}/tag"
                repository, _, version = image.partition(":")
                hythe.engine.request("POST", f"{tag}?repo={repository}&tag={version}")
                hythe.call("DELETE", f"/environments/local/images/{registry}/{image}")
            for name, (image, script, memory, port, start) in SERVICES.items():
                spec = {
                    "name": name,
                    "image": image,
                    "command": ["sh", "-c", script],
                    "memory": memory,
                    "ports": [{"container_port": port, "host_port": free_port()}] if port else [],
                    "start": start,
                }
                status, answer = hythe.call("POST", "/environments/local/containers", spec)
                assert status == 201, answer
            _look(hythe, target)


def _pull(hythe, reference: str) -> None:
    body = {"reference": reference}
    status, job = hythe.call("POST", "/environments/local/images/pull", body)
    assert status == 202, job
    wait_until(
        lambda: hythe.call("GET", f"/jobs/{job['id']}")[1]["state"] == "succeeded", "the pull"
    )


def _look(hythe, target: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=BROWSER_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 620})
        page.goto(f"http://127.0.0.1:{hythe.port}/login?next=/e/local/containers")
        page.get_by_label("User name").fill("rosa")
        page.get_by_label("Password").fill("a harbour of reeds")
        page.get_by_role("button", name="Sign in").click()
        lines = page.locator("polyline")
        expect(lines.first).to_be_visible(timeout=20_000)
        points = "(e) => e.getAttribute('points').split(' ').length > 14"
        page.wait_for_function(f"() => [...document.querySelectorAll('polyline')].some({points})")
        page.screenshot(path=target)
        dashboard = target.with_name(f"{target.stem}-dashboard.png")
        page.get_by_role("link", name="Dashboard").click()
        expect(page.locator(".uplot")).to_be_visible(timeout=20_000)
        page.set_viewport_size({"width": 1440, "height": 1000})
        page.screenshot(path=dashboard)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Websockets of a running instance, as a browser's tab or a script opens them."""

from __future__ import annotations

import json
import subprocess

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.engine import wait_until

NAME = "live-web"


def open_socket(hythe, path, **headers):
    """Connect with the administrator's token."""
    sent = {"Authorization": f"Bearer {hythe.token}"} | headers
    address = f"ws://127.0.0.1:{hythe.port}/ws/{path}"
    return connect(address, additional_headers=sent, open_timeout=20)


def receive(socket, wanted, seconds=20):
    """Return the first message that `wanted` accepts."""
    while True:
        message = socket.recv(timeout=seconds)
        if isinstance(message, str):
            message = json.loads(message)
        if wanted(message):
            return message


@pytest.fixture(scope="module")
def container(hythe, registry):
    """Return a running container that prints a line."""
    status, job = hythe.call(
        "POST", "/environments/local/images/pull", {"reference": f"{registry}/team/busybox:1"}
    )
    assert status == 202, job
    wait_until(
        lambda: hythe.call("GET", f"/jobs/{job['id']}")[1]["state"] == "succeeded", "the pull"
    )
    body = {
        "image": f"{registry}/team/busybox:1",
        "name": NAME,
        "command": ["sh", "-c", "echo ashore; echo adrift >&2; exec sleep 1000"],
    }
    status, created = hythe.call("POST", "/environments/local/containers", body)
    assert status == 201, created
    yield created["id"]
    hythe.call("DELETE", f"/environments/local/containers/{NAME}?force=1")
    hythe.call("DELETE", f"/environments/local/images/{registry}/team/busybox:1")


def test_logs_come_in_batches_and_follow(hythe, container):
    """The tail is told with times and streams, and a new line follows by itself."""
    with open_socket(hythe, f"environments/local/containers/{container}/logs") as socket:
        lines = []
        while len(lines) < 2:
            lines += receive(socket, lambda m: "lines" in m)["lines"]
        assert {(line[1], line[2]) for line in lines} == {("o", "ashore"), ("e", "adrift")}
        assert all(line[0] > 1_700_000_000_000 for line in lines)


def test_stats_come_every_second(hythe, container):
    """Figures of one container, and of many through the tab's one socket."""
    with open_socket(hythe, f"environments/local/containers/{container}/stats") as socket:
        row = receive(socket, lambda m: "cpu_pct" in m)
        assert row["pids"] >= 1
        assert row["cores"] >= 1
    with open_socket(hythe, "live") as socket:
        wish = {"subscribe": "stats", "environment": "local", "ids": [container]}
        socket.send(json.dumps(wish))
        row = receive(socket, lambda m: m.get("topic") == "stats" and m["stats"])
        assert row["stats"][container]["pids"] >= 1


def test_console_runs_a_command_with_a_terminal(hythe, container):
    """Typed bytes come back, the size arrives, the exit code is told and the opening audited."""
    path = f"environments/local/containers/{container}/console?rows=31&columns=97"
    with open_socket(hythe, path) as socket:
        socket.send(b"stty size; echo pr''esent; exit 7\n")
        seen = b""
        while b"present" not in seen:
            message = socket.recv(timeout=20)
            seen += message if isinstance(message, bytes) else b""
        assert b"31 97" in seen
        assert receive(socket, lambda m: isinstance(m, dict) and "exit" in m) == {"exit": 7}
    activity = hythe.call("GET", "/activity")[1]["items"]
    assert any(
        row["permission"] == "container.console" and row["target"] == container for row in activity
    )


def test_console_says_why_it_cannot_open(hythe, container):
    """A program that is not there is an error in the engine's words."""
    path = f"environments/local/containers/{container}/console?command=/no/such"
    with open_socket(hythe, path) as socket:
        seen = "".join(m if isinstance(m, str) else m.decode() for m in socket)
    assert "/no/such" in seen


def test_events_and_jobs_reach_the_tab(hythe, container):
    """A stop made with the docker CLI is heard, a bulk job tells each container's result."""
    with open_socket(hythe, "live") as socket:
        socket.send(json.dumps({"subscribe": "events", "environment": "local"}))
        socket.send(json.dumps({"subscribe": "jobs"}))
        socket.send(json.dumps({"subscribe": "nonsense"}))
        receive(socket, lambda m: m.get("type") == "error")  # what came before it has taken hold
        command = [
            "docker",
            "-H",
            f"unix://{hythe.engine.settings.socket}",
            "stop",
            "-t",
            "0",
            NAME,
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        told = receive(
            socket, lambda m: m.get("topic") == "events" and m["event"]["action"] == "die"
        )
        assert ["container", container] in told["keys"]
        body = {"verb": "start", "ids": [container, "no-such-container"]}
        status, job = hythe.call("POST", "/environments/local/containers/bulk", body)
        assert status == 202
        over = receive(
            socket,
            lambda m: m.get("topic") == "jobs" and m["job"]["state"] in ("failed", "succeeded"),
        )["job"]
        assert over["id"] == job["id"]
        assert [row["state"] for row in over["progress"]["items"]] == ["done", "failed"]
        assert "No such container" in over["error"]


def test_a_stranger_hears_nothing(hythe):
    """No credentials, a wrong token, and another page's origin are refused."""
    for headers in ({"Authorization": "Bearer hythe_wrong"}, {"Authorization": ""}):
        with open_socket(hythe, "live", **headers) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=20)
            assert closed.value.rcvd.code == 4401


def test_details_hide_secrets(hythe, container):
    """The page's content is whole; a variable that looks like a secret has no value."""
    status, row = hythe.call("GET", f"/environments/local/containers/{container}")
    assert status == 200
    assert row["name"] == NAME
    assert row["endpoints"][0]["address"]
    status, summary = hythe.call("GET", "/environments/local/summary")
    assert status == 200
    assert sum(summary["containers"].values()) >= 1
    assert summary["disk"]["total"] > 0

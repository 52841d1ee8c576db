"""From a pull to a removed container over REST, with every process of Hythe running."""

from __future__ import annotations

import socket

from tests.support.engine import wait_until


def finished(hythe, job_id):
    """Return a job once it is over."""

    def over():
        _, job = hythe.call("GET", f"/jobs/{job_id}")
        return job if job["state"] in ("succeeded", "failed", "cancelled") else None

    return wait_until(over, f"job {job_id} is over", 60)


def test_everything_answers(hythe):
    """Health sees every part, and the environment appeared by itself."""
    _, health = hythe.call("GET", "/health")
    assert health == {"status": "ok", "database": True, "redis": True, "engine": True}
    _, environments = hythe.call("GET", "/environments")
    assert [(row["name"], row["status"]) for row in environments["items"]] == [("local", "up")]


def test_pull_run_stop_remove(hythe, registry):
    """A pull is a job with layers; its image runs; every change is in the audit trail."""
    reference = f"{registry}/team/busybox:1"
    status, job = hythe.call("POST", "/environments/local/images/pull", {"reference": reference})
    assert status == 202
    job = finished(hythe, job["id"])
    assert job["state"] == "succeeded", job
    assert {layer["status"] for layer in job["progress"]["layers"]} == {"done"}
    _, images = hythe.call("GET", "/environments/local/images")
    assert reference in images["items"][0]["tags"]
    body = {"image": reference, "name": "pulled", "command": ["sleep", "1000"], "memory": 2**24}
    status, created = hythe.call("POST", "/environments/local/containers", body)
    assert status == 201, created
    _, rows = hythe.call("GET", "/environments/local/containers")
    assert [(row["name"], row["state"]) for row in rows["items"]] == [("pulled", "running")]
    assert hythe.engine.docker("exec", "pulled", "echo", "same engine").stdout == "same engine\n"
    assert hythe.call("POST", "/environments/local/containers/pulled/kill")[0] == 204
    _, again = hythe.call("POST", "/environments/local/containers/pulled/kill")
    assert "is not running" in again["error"]["message"]
    assert hythe.call("DELETE", "/environments/local/containers/pulled")[0] == 204
    status, gone = hythe.call("GET", "/environments/local/containers/pulled")
    assert status == 404
    assert gone["error"]["message"] == "No such container: pulled"
    _, activity = hythe.call("GET", "/activity")
    acts = [(row["permission"], row["result"]) for row in activity["items"]][:5]
    assert acts == [
        ("container.remove", "ok"),
        ("container.kill", "refused"),
        ("container.kill", "ok"),
        ("container.create", "ok"),
        ("image.pull", "ok"),
    ]


def test_a_pull_that_fails_says_why(hythe, registry):
    """The registry's words are the job's error."""
    body = {"reference": f"{registry}/team/nothing:1"}
    _, job = hythe.call("POST", "/environments/local/images/pull", body)
    job = finished(hythe, job["id"])
    assert job["state"] == "failed"
    assert "not found" in job["error"]


def test_containers_outlive_a_restart_of_everything(hythe, registry):
    """`down` leaves containers running; `up` finds them."""
    hythe.engine.docker("pull", f"{registry}/team/busybox:1")
    hythe.engine.docker("run", "-d", "--name", "stays", f"{registry}/team/busybox:1", "sleep", "99")
    hythe.launcher("down")
    assert hythe.engine.leftovers()
    hythe.launcher("up", "--detach", "--port", str(hythe.port))
    _, rows = hythe.call("GET", "/environments/local/containers")
    assert [(row["name"], row["state"]) for row in rows["items"]] == [("stays", "running")]
    hythe.engine.docker("rm", "-f", "stays")


def test_a_pull_that_hangs_can_be_cancelled(hythe):
    """A registry that takes the connection and says nothing holds no job for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reference = f"127.0.0.1:{silent.getsockname()[1]}/team/web:1"
        body = {"reference": reference}
        _, job = hythe.call("POST", "/environments/local/images/pull", body)
        silent.settimeout(20)
        with silent.accept()[0]:
            assert hythe.call("POST", f"/jobs/{job['id']}/cancel")[0] == 202
            assert finished(hythe, job["id"])["state"] == "cancelled"
    assert hythe.call("POST", f"/jobs/{job['id']}/cancel")[0] == 409
    act = hythe.call("GET", "/activity")[1]["items"][0]
    assert (act["permission"], act["target"]) == ("job.cancel", f"Pull {reference}")

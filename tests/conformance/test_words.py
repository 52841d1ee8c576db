"""What clients see in corners: filters, framing, states between two runs, errors of execs."""

from __future__ import annotations

import os
import socket
import threading

import docker
import pytest

from tests.support.engine import wait_until


def idle(engine, name, *words):
    """Start a container that waits."""
    engine.docker("run", "-d", "--name", name, *words, "busybox", "sleep", "1000")
    return name


def inspected(engine, name, template):
    """Return a part of a container's description."""
    return engine.docker("inspect", "-f", template, name).stdout.strip()


def test_rows_of_ps(engine):
    """Quoted arguments, an image whose name has moved, a name that is no pattern, no address."""
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo 'a b'; sleep 1000")
    rows = engine.request("GET", "/containers/json")[1]
    assert rows[0]["Command"] == "sh -c 'echo 'a b'; sleep 1000'"
    assert engine.docker("ps", "-q", "-f", "name=*box*").stdout == ""
    assert engine.docker("ps", "-q", "-f", "name=/box").stdout
    engine.docker("tag", "busybox", "mine:1")
    engine.docker("run", "-d", "--name", "other", "mine:1", "sleep", "1000")
    engine.docker("commit", "box", "mine:1")
    shown = engine.docker("ps", "--format", "{{.Names}} {{.Image}}").stdout.splitlines()
    image = inspected(engine, "other", "{{.Image}}").removeprefix("sha256:")[:12]
    assert f"other {image}" in shown
    engine.docker("stop", "-t", "0", "box")
    rows = engine.request("GET", '/containers/json?all=1&filters={"name":["box"]}')[1]
    assert rows[0]["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == ""
    assert engine.request("GET", '/containers/json?filters={"status":["nonsense"]}')[0] == 400
    assert engine.request("GET", '/containers/json?filters={"exited":["x"]}')[0] == 400
    engine.docker("rm", "-f", "other", "box")
    engine.docker("rmi", "-f", "mine:1")


def test_between_two_runs(engine):
    """Running and restarting at once: not removed without force, not started, not executed in."""
    engine.docker("run", "-d", "--name", "loop", "--restart", "always", "busybox", "false")
    wait_until(lambda: inspected(engine, "loop", "{{.State.Restarting}}") == "true", "it waits")
    wait_until(
        lambda: (
            engine.docker("rm", "loop", check=None).stderr
            and inspected(engine, "loop", "{{.RestartCount}}") > "3"
        ),
        "its pauses are long",
    )
    wait_until(lambda: inspected(engine, "loop", "{{.State.Restarting}}") == "true", "it waits")
    assert inspected(engine, "loop", "{{.State.Running}}") == "true"
    assert "stop the container before removing" in engine.docker("rm", "loop", check=1).stderr
    done = engine.docker("exec", "loop", "true", check=1)
    assert "is restarting, wait until the container is running" in done.stderr
    assert engine.request("POST", "/containers/loop/start")[0] == 304
    engine.docker("stop", "loop")
    assert inspected(engine, "loop", "{{.State.Status}}") == "exited"


def test_a_name_while_it_comes_and_goes(engine):
    """There or not: never an error of the engine."""
    found, stop = set(), threading.Event()

    def poll():
        while not stop.is_set():
            found.add(engine.request("GET", "/containers/racer/json")[0])

    pollers = [threading.Thread(target=poll) for _ in range(3)]
    for poller in pollers:
        poller.start()
    try:
        for _ in range(8):
            engine.docker("run", "--name", "racer", "-v", "/v", "busybox", "true")
            engine.docker("rm", "-v", "racer")
    finally:
        stop.set()
        for poller in pollers:
            poller.join()
    assert found <= {200, 404}


def test_followers_that_leave(engine):
    """Each follower of a quiet log that hangs up leaves nothing behind, however many there were."""
    idle(engine, "box")
    before = engine.descriptors()
    for _ in range(150):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(engine.settings.socket))
            path = "/containers/box/logs?follow=1&stdout=1"
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: engine\r\n\r\n".encode())
            assert client.recv(12).endswith(b"200")
    wait_until(lambda: engine.descriptors() <= before, "nothing is held for them")


def test_attachments_that_left_before_the_start(engine):
    """They are dropped; those that stayed see the start, more than sixteen of them."""
    engine.docker("create", "--name", "box", "busybox", "echo", "here")
    before = engine.descriptors()

    def attach():
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(str(engine.settings.socket))
        path = "/containers/box/attach?stream=1&stdout=1"
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: engine\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        return client

    for _ in range(30):
        attach().close()
    clients = [attach() for _ in range(20)]
    assert engine.descriptors() <= before + 25
    engine.docker("start", "box")
    for client in clients:
        data = b""
        while more := client.recv(100):
            data += more
        assert data.endswith(b"here\n")
        client.close()


def test_framing_follows_the_one_who_reads(engine):
    """What the start of an exec says of a terminal decides how its output comes."""
    idle(engine, "box")
    sdk = docker.DockerClient(base_url=f"unix://{engine.settings.socket}")
    try:
        made = sdk.api.exec_create("box", ["echo", "hello"], tty=True)
        assert sdk.api.exec_start(made["Id"]) == b"hello\r\n"
        made = sdk.api.exec_create("box", ["echo", "hello"])
        assert sdk.api.exec_start(made["Id"], tty=True) == b"hello\n"
    finally:
        sdk.close()
    body = {"Cmd": ["stty", "size"], "Tty": True, "AttachStdout": True, "ConsoleSize": [40, 100]}
    _, made = engine.request("POST", "/containers/box/exec", body)
    assert engine.request("POST", f"/exec/{made['Id']}/start", {"Tty": True})[1].strip() == "40 100"


def test_errors_of_execs(engine):
    """Docker's words and codes; nothing is made, nothing is answered as output."""
    idle(engine, "box", "-e", "TERM=vt220")
    for words, code, text in (
        (("-u", "nobody2", "box", "id"), 126, "unable to find user nobody2"),
        (("-w", "/nowhere", "box", "pwd"), 126, 'chdir to cwd ("/nowhere")'),
        (("box", "nothing-here"), 127, "executable file not found in $PATH"),
        (("box", "/etc/passwd"), 126, "permission denied"),
    ):
        done = engine.docker("exec", *words, check=code)
        assert text in done.stdout + done.stderr, words
        assert "OCI runtime exec failed" in done.stdout + done.stderr, words
    assert "nowhere" not in engine.docker("diff", "box").stdout
    shown = engine.docker("exec", "-e", "GONE", "-e", "KEPT=1", "box", "env").stdout
    assert "KEPT=1\n" in shown
    assert "GONE" not in shown
    assert "TERM=vt220\n" in engine.docker("exec", "box", "env").stdout
    _, made = engine.request("POST", "/containers/box/exec", {"Cmd": ["true"]})
    engine.request("POST", f"/exec/{made['Id']}/start", {"Detach": True})
    wait_until(
        lambda: not engine.request("GET", f"/exec/{made['Id']}/json")[1]["Running"], "it ended"
    )
    assert engine.request("POST", f"/exec/{made['Id']}/resize?h=1&w=1")[0] == 409
    _, made = engine.request("POST", "/containers/box/exec", {"Cmd": ["true"]})
    engine.docker("stop", "-t", "0", "box")
    assert engine.request("POST", f"/exec/{made['Id']}/start", {})[0] == 409


def test_events_of_a_removal(engine):
    """The kill is told, and what the container was connected to and had mounted."""
    begin = engine.request("GET", "/info")[1]["SystemTime"]
    idle(engine, "box", "-v", "data:/v")
    engine.docker("rm", "-f", "box")
    end = engine.request("GET", "/info")[1]["SystemTime"]
    words = ["--since", begin, "--until", end, "--format", "{{.Type}} {{.Action}}"]
    events = engine.docker("events", *words).stdout.splitlines()
    wanted = ["container create", "network connect", "volume mount", "container start",
              "container kill", "network disconnect", "volume unmount", "container die",
              "container destroy"]  # fmt: skip
    assert [event for event in events if event in wanted] == wanted
    assert engine.docker("events", "--since", begin, "--until", end, "-f", "image=busybox").stdout


@pytest.mark.parametrize("policy", [{"Name": "always"}, {"Name": "on-failure"}])
def test_restart_policies_are_whole(engine, policy):
    """With a count, and never a negative one."""
    body = {"Image": "busybox", "HostConfig": {"RestartPolicy": policy}}
    _, made = engine.request("POST", "/containers/create", body)
    shown = engine.request("GET", f"/containers/{made['Id']}/json")[1]["HostConfig"]
    assert shown["RestartPolicy"] == {**policy, "MaximumRetryCount": 0}
    body["HostConfig"]["RestartPolicy"] = {"Name": "on-failure", "MaximumRetryCount": -1}
    status, answer = engine.request("POST", "/containers/create", body)
    assert (status, "cannot be negative" in answer["message"]) == (400, True)


def test_ports_without_a_protocol(engine):
    """A bare number is TCP, a range each of its ports; the tag of a log is filled in."""
    body = {
        "Image": "busybox", "Cmd": ["sh", "-c", "echo x; sleep 1000"],
        "ExposedPorts": {"80": {}, "90-91/udp": {}},
        "HostConfig": {
            "PortBindings": {"80": [{}]},
            "LogConfig": {"Type": "json-file", "Config": {"tag": "{{.Name}}/{{.ImageName}}"}},
        },
    }  # fmt: skip
    _, made = engine.request("POST", "/containers/create?name=box", body)
    engine.docker("start", "box")
    ports = engine.request("GET", f"/containers/{made['Id']}/json")[1]["NetworkSettings"]["Ports"]
    assert set(ports) == {"80/tcp", "90/udp", "91/udp"}
    assert ports["80/tcp"]
    wait_until(lambda: engine.docker("logs", "box").stdout, "it wrote")
    assert "tag=box/busybox" in engine.docker("logs", "--details", "box").stdout


def test_no_process_limit_when_none_is_wished(engine):
    """-1 at creation, and 0 of an update, are no limit."""
    idle(engine, "box", "--pids-limit", "-1")
    pid = inspected(engine, "box", "{{.State.Pid}}")
    with open(f"/proc/{pid}/cgroup") as file:
        lines = file.read().splitlines()
    group = next((line.split(":")[2] for line in lines if ":pids:" in line), "")
    path = f"/sys/fs/cgroup/pids{group}/pids.max"
    if not os.path.exists(path):
        pytest.skip("this machine has no pids controller of v1")
    with open(path) as file:
        assert file.read() == "max\n"

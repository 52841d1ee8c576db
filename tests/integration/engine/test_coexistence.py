"""Beside a real Docker Engine: on one machine, a network namespace here, both with their rules."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from engine.kernel import cgroups
from tests.conformance.test_networks import SERVE
from tests.support.engine import EngineUnderTest, wait_until
from tests.support.images import archive, busybox

SPACE = f"hyco{os.getpid()}"
INSIDE = ("nsenter", f"--net=/run/netns/{SPACE}")


@pytest.fixture
def space():
    """Make the machine."""
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    try:
        subprocess.run(["ip", "-n", SPACE, "link", "set", "lo", "up"], check=True)
        yield SPACE
    finally:
        subprocess.run(["ip", "netns", "del", SPACE], check=True)


@contextmanager
def docker_engine(directory):
    """Yield the environment of a client of a real dockerd with its own rules."""
    directory.mkdir()
    socket = directory / "docker.sock"
    command = [*INSIDE, "dockerd", "--host", f"unix://{socket}", "--bip", "10.202.1.1/24"]
    command += ["--data-root", str(directory / "data"), "--exec-root", str(directory / "run")]
    command += ["--pidfile", str(directory / "pid"), "--storage-driver", "overlay2"]
    client = {**os.environ, "DOCKER_HOST": f"unix://{socket}"}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def answers():
        assert process.poll() is None, (directory / "log").read_text()[-3000:]
        asked = subprocess.run(["docker", "version"], env=client, capture_output=True, check=False)
        return asked.returncode == 0

    try:
        wait_until(answers, "dockerd answers", 60)
        yield client
    finally:
        subprocess.run(
            ["docker", "rm", "-f", "theirs"], env=client, capture_output=True, check=False
        )
        process.terminate()
        process.wait(60)


def ask_docker(client, *words):
    """Run the CLI against the other engine."""
    done = subprocess.run(
        ["docker", *words], env=client, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def reached(port, address="127.0.0.1"):
    """Return what a client of this machine hears."""
    module = "tests.conformance.test_networks"
    call = f"from {module} import connect_from_here as c; print(c({address!r}, {port}))"
    command = [*INSIDE, sys.executable, "-c", call]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def rules(table):
    """Return one table of the machine without its counters."""
    command = [*INSIDE, "nft", "-s", "list", "table", *table]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in text.splitlines() if "counter" not in line]


def test_beside_a_docker_engine(tmp_path, space, docker):
    """Each is reached, ours are closed to the other's, and no rule of theirs is touched."""
    engine = EngineUnderTest(tmp_path / "ours", namespace=space)
    engine.settings.root.mkdir()
    engine.start()
    layout = busybox().write(tmp_path / "layout", "busybox")
    try:
        engine.docker("load", "-i", str(archive(layout, tmp_path / "busybox.tar")))
        with docker_engine(tmp_path / "theirs") as theirs:
            old = tmp_path / "docker.tar"  # Debian's dockerd does not read OCI layouts
            copy = ["skopeo", "copy", "--insecure-policy", f"oci:{layout}:busybox"]
            copy.append(f"docker-archive:{old}:busybox:latest")
            subprocess.run(copy, check=True, capture_output=True)
            ask_docker(theirs, "load", "-i", str(old))
            before = rules(("ip", "nat")), rules(("ip", "filter"))
            engine.docker("network", "create", "net")
            engine.docker("run", "-d", "--name", "ours", "--network", "net", "-p", "8081:80",
                          "busybox", "sh", "-c", SERVE.format("ours"))  # fmt: skip
            assert (rules(("ip", "nat")), rules(("ip", "filter"))) == before
            script = SERVE.format("theirs")
            words = ("-d", "--name", "theirs", "-p", "8082:80", "busybox", "sh", "-c", script)
            ask_docker(theirs, "run", *words)
            wait_until(lambda: reached(8081) == "ours", "ours is reached")
            wait_until(lambda: reached(8082) == "theirs", "theirs is reached")
            (row,) = engine.docker(
                "inspect", "-f", "{{.NetworkSettings.Networks.net.IPAddress}}", "ours"
            ).stdout.split()
            ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {row} 80 | tail -n 1"
            assert ask_docker(theirs, "exec", "theirs", "sh", "-c", ask) == ""
            engine.kill()
            engine.start()
            assert reached(8081) == "ours"
            assert reached(8082) == "theirs"
        assert reached(8081) == "ours", "and goes on without the other"
    finally:
        engine.remove_all()
        engine.stop()
        wait_until(lambda: not engine.supervisors(), "all have ended")
        cgroups.remove_parent(engine.settings.cgroup_parent)

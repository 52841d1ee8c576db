"""Containers with users of their own: root inside is nobody outside, files keep their owners."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.images import archive

BASE = 100000


@pytest.fixture(scope="module")
def mapped_engine(tmp_path_factory, layout, docker):
    """Return an engine that gives containers a user namespace."""
    engine = EngineUnderTest(tmp_path_factory.mktemp("mapped"), HYTHE_USERNS_REMAP="default")
    engine.start()
    path = archive(layout, tmp_path_factory.mktemp("archive") / "busybox.tar")
    engine.docker("load", "-i", str(path))
    yield engine
    engine.destroy()


@pytest.fixture
def mapped(mapped_engine):
    """Return that engine; afterwards nothing of any container is left."""
    yield mapped_engine
    mapped_engine.remove_containers()
    wait_until(lambda: not mapped_engine.leftovers(), "nothing is left")


def inside(engine, *words):
    """Return what a shell command inside a new container prints."""
    *options, command = words
    return engine.docker("run", "--rm", *options, "busybox", "sh", "-c", command).stdout.strip()


def test_root_inside_is_nobody_outside(mapped):
    """The process runs as the first mapped user, with every capability only in there."""
    mapped.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    pid = json.loads(mapped.docker("inspect", "-f", "{{.State.Pid}}", "box").stdout)
    assert os.stat(f"/proc/{pid}").st_uid == BASE
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    assert mapped.docker("exec", "box", "id", "-u").stdout == "0\n"
    assert mapped.docker("exec", "-u", "7:8", "box", "sh", "-c", "id -u; id -g").stdout == "7\n8\n"
    map_text = mapped.docker("exec", "box", "cat", "/proc/self/uid_map").stdout.split()
    assert map_text == ["0", str(BASE), "65536"]
    assert "name=userns" in mapped.docker("info").stdout or "userns" in mapped.docker("info").stdout


def test_what_it_needs_works(mapped):
    """Network, devices, terminals, limits, its own root directory."""
    show = "ls -ld /root | awk '{print $3}'; echo x > /dev/null; head -c1 /dev/urandom | wc -c;"
    show += "touch /made; ls -l /made | awk '{print $3}'; ls /sys/class/net | tr '\\n' ' ';"
    show += "hostname box; cat /proc/sys/kernel/hostname"
    refused = inside(mapped, show + " 2>&1").split()
    assert refused[:3] == ["root", "1", "root"]
    assert "eth0" in refused
    assert inside(mapped, "-m", "64m", "-u", "5", "id -u") == "5"
    assert inside(mapped, "--init", "ps").count("docker-init") == 1


def test_files_keep_their_owners(mapped, tmp_path):
    """A bind, a volume and cp show the users of the disk; new files get them there."""
    os.chmod(tmp_path, 0o777)
    own = tmp_path / "own"
    own.write_text("x")
    os.chown(own, 1234, 77)
    show = "stat -c %u:%g /b/own; touch /b/new; chown 9:9 /b/new"
    assert inside(mapped, "-v", f"{tmp_path}:/b", show) == "1234:77"
    assert (tmp_path / "new").stat().st_uid == 9
    inside(mapped, "-v", "kept:/v", "touch /v/f; chown 3:4 /v/f")
    assert inside(mapped, "-v", "kept:/v", "stat -c %u:%g /v/f") == "3:4"
    mapped.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    mapped.docker("cp", str(own), "box:/own")
    assert mapped.docker("exec", "box", "stat", "-c", "%a", "/own").returncode == 0
    mapped.docker("stop", "-t", "0", "box")
    mapped.docker("cp", str(own), "box:/second")
    mapped.docker("commit", "box", "mapped:1")
    text = mapped.docker("run", "--rm", "mapped:1", "sh", "-c", "cat /own /second").stdout
    assert text == "xx"
    image = "type=image,src=busybox,dst=/i"
    assert inside(mapped, "--mount", image, "ls -ld /i/bin | awk '{print $3}'") == "root"
    mapped.docker("rmi", "mapped:1", check=None)
    mapped.docker("volume", "rm", "kept")


def test_the_way_out_and_what_is_refused(mapped):
    """--userns=host is as without; what cannot be had in between is refused."""
    assert inside(mapped, "--userns", "host", "cat /proc/self/uid_map").split()[1] == "0"
    for words in (["--privileged"], ["--network", "host"], ["--pid", "host"]):
        refused = mapped.docker("run", "--rm", *words, "busybox", "true", check=125).stderr
        assert "user namespaces" in refused
    assert inside(mapped, "--privileged", "--userns", "host", "id -u") == "0"

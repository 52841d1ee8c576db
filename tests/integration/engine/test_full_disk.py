"""A disk without room: the cause is named, what was there stays, and nobody waits for ever."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.images import archive, busybox


@pytest.fixture
def engine(tmp_path):
    """Return an engine on a filesystem of its own of 64 MB."""
    layout = busybox().write(tmp_path / "layout", "busybox")
    path = archive(layout, tmp_path / "busybox.tar")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=True)
    engine = EngineUnderTest(disk / "data")
    (disk / "data").mkdir()
    try:
        engine.start()
        engine.docker("load", "-i", str(path))
        yield engine
        engine.remove_containers()
        wait_until(
            lambda: not [item for item in engine.leftovers() if "tmpfs" not in item],
            "nothing is left",
        )
        engine.stop()
        engine.dismantle()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def fill(engine):
    """Take all the room there is and return the file that has it."""
    path = engine.settings.root / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass
        try:
            while True:
                file.write(b"x")
        except OSError:
            return path


def test_a_full_disk(engine):
    """Containers run on and end; what needs room is refused and works again afterwards."""
    script = "while [ ! -e /tmp/end ]; do echo line; sleep 0.05; done; exit 3"
    words = ("--name", "box", "--tmpfs", "/tmp", "busybox")
    engine.docker("run", "-d", *words, "sh", "-c", script)
    path = fill(engine)
    refused = engine.docker("create", "--name", "more", "busybox", check=None)
    assert refused.returncode == 0 or "full" in refused.stderr or "space" in refused.stderr
    assert engine.docker("exec", "box", "echo", "alive").stdout == "alive\n"
    engine.docker("exec", "box", "touch", "/tmp/end")
    assert engine.docker("wait", "box").stdout == "3\n"
    os.unlink(path)
    assert "line" in engine.docker("logs", "box").stdout
    engine.docker("run", "--rm", "busybox", "true")
    engine.kill()
    engine.start()
    assert engine.docker("inspect", "-f", "{{.State.ExitCode}}", "box").stdout == "3\n"

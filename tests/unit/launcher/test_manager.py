"""The manager: logs that stay small, processes that come back, signals that reach one process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher import manager
from launcher.instance import TREE, Instance

DRIVER = """
import signal, sys
from launcher import manager
from launcher.instance import Instance
instance = Instance.at(sys.argv[1])
supervisor = manager.Supervisor(instance, None)
for name, command in (("steady", "exec sleep 1000"), ("brief", "exit 7")):
    supervisor.add_process(name, command)
    supervisor._history[name] = {"pid": None, "restarts": 0, "code": None, "pause": 0.05}
supervisor._delay_of_the_rest = lambda: 0.0
supervisor.loop()
"""


@pytest.fixture
def instance(tmp_path):
    instance = Instance.at(str(tmp_path))
    for path in (instance.log, instance.run):
        path.mkdir(parents=True)
    return instance


@pytest.fixture
def running(instance):
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(instance.data)], cwd=TREE)
    yield process
    process.kill()
    process.wait()


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def test_a_process_that_ends_comes_back_alone(instance, running):
    def state():
        return instance.read_state().get("processes", {})

    until(lambda: state().get("brief", {}).get("restarts", 0) >= 2)
    assert state()["brief"]["code"] == 7
    assert state()["brief"]["pause"] > 0.05
    assert state()["steady"]["restarts"] == 0
    steady = state()["steady"]["pid"]
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 0
    assert not Path(f"/proc/{steady}").exists()


def test_a_killed_process_is_started_again(instance, running):
    def steady():
        return instance.read_state().get("processes", {}).get("steady", {})

    first = until(lambda: steady().get("pid"))
    os.kill(first, signal.SIGKILL)
    until(lambda: steady().get("restarts") == 1 and steady().get("pid") not in {None, first})
    assert steady()["code"] in {-9, None}


def test_a_log_is_renamed_when_it_is_large(tmp_path, monkeypatch):
    monkeypatch.setattr(manager, "LOG_BYTES", 100)
    log = manager.LogFile(tmp_path / "web.log")
    for number in range(60):
        log.write(f"line {number:03d}\n".encode())
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["web.log", "web.log.1", "web.log.2", "web.log.3"]
    assert (tmp_path / "web.log").read_text().endswith("line 059\n")
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())


def test_an_identity_tells_processes_apart():
    assert manager.identity(os.getpid()) == manager.identity(os.getpid())
    assert manager.identity(1) != manager.identity(os.getpid())
    assert manager.identity(2**22 + 1) == ""
    assert json.dumps(manager.identity(os.getpid()))

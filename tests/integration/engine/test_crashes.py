"""The engine killed at named points of every verb, and what the next start makes of it."""

from __future__ import annotations

import http.client
import os
import signal

import pytest

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.images import archive, busybox

SAVE = "engine.store.containers:ContainerTable.save"
CREATE = [
    "engine.snapshots.overlay:Snapshots.prepare:before",
    "engine.snapshots.overlay:Snapshots.prepare:after",
    "engine.volumes.volumes:Volumes.create:before",
    "engine.volumes.volumes:Volumes.create:after",
    "engine.containers.create:make_mounts:after",
    f"{SAVE}:before",
]
START = [
    "engine.networks.sandboxes:Sandboxes.allocate:before",
    "engine.networks.sandboxes:Sandboxes.allocate:after",
    "engine.containers.start:build_spec:after",
    "engine.runtime.runtime:Runtime._ask_spawner:before",
    "engine.runtime.runtime:Runtime._ask_spawner:after",
    "engine.runtime.runtime:_first_answer:after",
    "engine.runtime.runtime:Runtime.start:after",
    f"{SAVE}:before",
]
STARTED = [f"{SAVE}:after", "engine.containers.deps:Containers.publish:before"]
STOP = [
    "engine.runtime.runtime:RunningContainer.kill:before",
    "engine.runtime.runtime:RunningContainer.kill:after",
    "engine.containers.start:record_exit:before",
    "engine.networks.sandboxes:Sandboxes.release:after",
    "engine.runtime.runtime:Runtime.forget:before",
    "engine.runtime.runtime:Runtime.forget:after",
    "engine.containers.start:record_exit:after",
]
REMOVE = [
    "engine.containers.remove:discard_container:before",
    f"{SAVE}:after",
    "engine.snapshots.overlay:Snapshots.remove:after",
    "engine.store.containers:ContainerTable.delete:before",
    "engine.store.containers:ContainerTable.delete:after",
    "engine.volumes.volumes:Volumes.remove_unused:before",
    "engine.volumes.volumes:Volumes.remove_unused:after",
]
EXEC = [
    "engine.runtime.runtime:RunningContainer.exec:before",
    "engine.runtime.runtime:RunningContainer.exec:after",
]

PAUSE = [
    "engine.runtime.runtime:RunningContainer.pause:before",
    "engine.runtime.runtime:RunningContainer.pause:after",
]
UNPAUSE = [
    "engine.runtime.runtime:RunningContainer.unpause:before",
    "engine.runtime.runtime:RunningContainer.unpause:after",
]
COMMIT = [
    "engine.runtime.runtime:RunningContainer.pause:after",
    "engine.containers.archive:Tree.answer:after",
    "engine.containers.commit:_store_layer:after",
    "engine.images.layers:_run:after",
    "engine.snapshots.overlay:Snapshots.commit:after",
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Return an engine with busybox that is killed and started again by each test."""
    layout = busybox().write(tmp_path_factory.mktemp("layout"), "busybox")
    path = archive(layout, tmp_path_factory.mktemp("archive") / "busybox.tar")
    engine = EngineUnderTest(tmp_path_factory.mktemp("engine"))
    engine.start()
    engine.docker("load", "-i", str(path))
    engine.stop()
    yield engine
    engine.start()
    engine.destroy()


@pytest.fixture(autouse=True)
def _nothing_left(engine):
    """After each test nothing of a container is left, and no volume."""
    yield
    engine.remove_containers()
    wait_until(lambda: not engine.leftovers(), "nothing is left")
    assert engine.request("GET", "/volumes")[1]["Volumes"] == []
    engine.stop()


def crash(engine, method, path, body=None):
    """Ask for something in the middle of which the engine dies, and start the next one."""
    engine.armed.touch()
    with pytest.raises((http.client.HTTPException, OSError)):
        engine.request(method, path, body)
    engine.await_crash()
    engine.start()


def body():
    """Return a container that uses an address, a port, a volume."""
    return {
        "Image": "busybox",
        "Cmd": ["sleep", "1000"],
        "Volumes": {"/data": {}},
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]}},
    }


def made(engine):
    """Create a container and return its ID."""
    status, answer = engine.request("POST", "/containers/create?name=box", body())
    assert status == 201, answer
    return answer["Id"]


def state(engine, container_id):
    """Return the state's word."""
    return engine.request("GET", f"/containers/{container_id}/json")[1]["State"]["Status"]


@pytest.mark.parametrize("point", CREATE)
def test_create(engine, point):
    """Half a container is none: its name is free, its volume gone."""
    engine.start(point)
    crash(engine, "POST", "/containers/create?name=box", body())
    assert engine.request("GET", "/containers/json?all=1")[1] == []
    assert engine.request("GET", "/volumes")[1]["Volumes"] == []
    made(engine)


@pytest.mark.parametrize("point", START)
def test_start(engine, point):
    """A start that nobody was told of is undone; the next one succeeds."""
    engine.start(point)
    box = made(engine)
    crash(engine, "POST", f"/containers/{box}/start")
    assert state(engine, box) == "created"
    wait_until(lambda: not engine.supervisors(), "no supervisor lives")
    assert engine.request("POST", f"/containers/{box}/start")[0] == 204
    assert state(engine, box) == "running"
    assert len(engine.supervisors()) == 1


@pytest.mark.parametrize("point", STARTED)
def test_started(engine, point):
    """A start that was written down holds, with all that belongs to it."""
    engine.start(point)
    box = made(engine)
    crash(engine, "POST", f"/containers/{box}/start")
    assert state(engine, box) == "running"
    found = engine.request("GET", f"/containers/{box}/json")[1]
    assert found["NetworkSettings"]["IPAddress"]
    assert found["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
    assert engine.docker("exec", "box", "echo", "alive").stdout == "alive\n"


@pytest.mark.parametrize("point", STOP)
def test_stop(engine, point):
    """The end is recorded once, with its code; what was held is free."""
    engine.start(point)
    box = made(engine)
    assert engine.request("POST", f"/containers/{box}/start")[0] == 204
    crash(engine, "POST", f"/containers/{box}/stop?t=0")
    if state(engine, box) == "running":
        assert engine.request("POST", f"/containers/{box}/stop?t=0")[0] == 204
    found = engine.request("GET", f"/containers/{box}/json")[1]["State"]
    assert (found["Status"], found["ExitCode"], found["Pid"]) == ("exited", 137, 0)
    assert engine.request("POST", f"/containers/{box}/start")[0] == 204


@pytest.mark.parametrize("point", REMOVE)
def test_remove(engine, point):
    """A removal that began is finished, or nothing of it happened."""
    engine.start(point)
    box = made(engine)
    crash(engine, "DELETE", f"/containers/{box}?v=1")
    if engine.request("GET", "/containers/json?all=1")[1]:
        assert point == REMOVE[0]
        assert engine.request("DELETE", f"/containers/{box}?v=1")[0] == 204
    made(engine)


@pytest.mark.parametrize("point", EXEC)
def test_exec(engine, point):
    """The container goes on and takes the next exec."""
    engine.start(point)
    box = made(engine)
    assert engine.request("POST", f"/containers/{box}/start")[0] == 204
    asked = {"Cmd": ["sleep", "500"]}
    exec_id = engine.request("POST", f"/containers/{box}/exec", asked)[1]["Id"]
    crash(engine, "POST", f"/exec/{exec_id}/start", {"Detach": True})
    assert state(engine, box) == "running"
    assert engine.request("GET", f"/exec/{exec_id}/json")[0] == 404
    assert engine.docker("exec", "box", "echo", "alive").stdout == "alive\n"


def works(engine):
    """Tell whether the container's program is on the move."""
    return engine.docker("exec", "box", "echo", "alive", check=None).stdout == "alive\n"


@pytest.mark.parametrize(("verb", "point"), [("pause", point) for point in PAUSE]
                         + [("unpause", point) for point in UNPAUSE])  # fmt: skip
def test_pause(engine, verb, point):
    """What the state says is what the processes do."""
    engine.start(point)
    box = made(engine)
    assert engine.request("POST", f"/containers/{box}/start")[0] == 204
    if verb == "unpause":
        assert engine.request("POST", f"/containers/{box}/pause")[0] == 204
    crash(engine, "POST", f"/containers/{box}/{verb}")
    if state(engine, box) == "paused":
        assert engine.request("POST", f"/containers/{box}/unpause")[0] == 204
    assert state(engine, box) == "running"
    assert works(engine)


@pytest.mark.parametrize("point", COMMIT)
def test_commit(engine, point):
    """There is no half image, and the container goes on."""
    engine.start(point)
    box = made(engine)
    assert engine.request("POST", f"/containers/{box}/start")[0] == 204
    engine.docker("exec", "box", "sh", "-c", f"echo {point} > /note")
    crash(engine, "POST", f"/commit?container={box}&repo=half")
    assert state(engine, box) == "running"
    assert works(engine)
    assert engine.docker("images", "-q", "half").stdout == ""
    engine.docker("commit", "box", "whole")
    assert engine.docker("run", "--rm", "whole", "cat", "/note").stdout == f"{point}\n"
    engine.docker("rmi", "whole")


def test_a_killed_supervisor(engine):
    """Its processes end with it, the state says so and the policy acts."""
    engine.start()
    asked = body()
    asked["HostConfig"]["RestartPolicy"] = {"Name": "always"}
    box = engine.request("POST", "/containers/create?name=box", asked)[1]["Id"]
    engine.request("POST", f"/containers/{box}/start")
    (supervisor,) = engine.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: engine.supervisors() not in ([], [supervisor]), "it is started again")
    wait_until(lambda: state(engine, box) == "running", "it runs")
    assert engine.request("GET", f"/containers/{box}/json")[1]["RestartCount"] == 1


def test_an_exit_while_no_engine_runs(engine):
    """Its code and its time are those of the exit, not of the next start."""
    engine.start()
    asked = {**body(), "Cmd": ["sh", "-c", "sleep 0.3; exit 6"]}
    box = engine.request("POST", "/containers/create?name=box", asked)[1]["Id"]
    engine.request("POST", f"/containers/{box}/start")
    engine.kill()
    wait_until(lambda: not engine.supervisors(), "the container has ended")
    engine.start()
    found = engine.request("GET", f"/containers/{box}/json")[1]["State"]
    assert (found["Status"], found["ExitCode"]) == ("exited", 6)
    assert found["StartedAt"] < found["FinishedAt"]


def test_many_cycles_leak_nothing(engine):
    """The daemon's descriptors are as many as before."""
    engine.start()
    engine.docker("run", "--rm", "busybox", "true")
    before = engine.descriptors()
    for _ in range(30):
        box = made(engine)
        engine.request("POST", f"/containers/{box}/start")
        asked = {"Cmd": ["true"]}
        exec_id = engine.request("POST", f"/containers/{box}/exec", asked)[1]["Id"]
        engine.request("POST", f"/exec/{exec_id}/start", {"Detach": True})
        assert engine.request("DELETE", f"/containers/{box}?force=1&v=1")[0] == 204
    wait_until(lambda: engine.descriptors() <= before, "descriptors are closed")

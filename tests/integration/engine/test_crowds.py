"""Many containers, many clients: no error, and nothing is left or held."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.images import archive, busybox

CYCLES = 1000


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Return an engine with busybox."""
    layout = busybox().write(tmp_path_factory.mktemp("layout"), "busybox")
    path = archive(layout, tmp_path_factory.mktemp("archive") / "busybox.tar")
    engine = EngineUnderTest(tmp_path_factory.mktemp("engine"))
    engine.start()
    engine.docker("load", "-i", str(path))
    yield engine
    engine.destroy()


def cycle(engine):
    """Create, start, stop and remove one container; return what was not as it should be."""
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"]}
    status, made = engine.request("POST", "/containers/create", body)
    if status != 201:
        return [made]
    box = made["Id"]
    steps = (
        ("POST", f"/containers/{box}/start"),
        ("POST", f"/containers/{box}/stop?t=0"),
        ("DELETE", f"/containers/{box}"),
    )
    answers = [engine.request(*step) for step in steps]
    return [answer for status, answer in answers if status != 204]


def resident_kb(pid):
    """Return a process's resident memory."""
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1])


def spawner(engine):
    """Return the spawner's process."""
    (child,) = Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split()
    return int(child)


@pytest.mark.timeout(120)
def test_a_thousand_cycles_leak_nothing(engine):
    """Descriptors and memory of daemon and spawner are as before; no trace in the kernel."""
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda _: cycle(engine), range(50)):
            continue
        wait_until(lambda: not engine.leftovers(), "the first ones are gone")
        held, helper = engine.descriptors(), len(os.listdir(f"/proc/{spawner(engine)}/fd"))
        memory = resident_kb(engine.pid)
        faults = [
            fault for faults in pool.map(lambda _: cycle(engine), range(CYCLES)) for fault in faults
        ]
    assert faults == []
    wait_until(lambda: not engine.leftovers(), "nothing is left")
    wait_until(lambda: engine.descriptors() <= held, "descriptors are closed")
    assert len(os.listdir(f"/proc/{spawner(engine)}/fd")) <= helper
    assert resident_kb(engine.pid) < memory + 10 * 1024


def test_two_hundred_clients_at_once(engine):
    """Each is answered, whatever it asks."""
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")

    def ask(number):
        paths = ("/containers/json?all=1", "/containers/box/json", "/info", "/_ping")
        return engine.request("GET", paths[number % len(paths)])[0]

    with ThreadPoolExecutor(200) as pool:
        assert set(pool.map(ask, range(800))) == {200}
    engine.docker("rm", "-f", "box")

"""One engine and one registry for the whole suite; every test leaves both clean."""

from __future__ import annotations

import pytest

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.images import archive, busybox, push
from tests.support.registry import running_registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """Return host:port of a real registry."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="session")
def layout(tmp_path_factory):
    """Return an OCI layout with busybox."""
    return busybox().write(tmp_path_factory.mktemp("layout"), "busybox")


@pytest.fixture(scope="session")
def running_engine(tmp_path_factory, layout, docker):
    """Return an engine with busybox loaded."""
    engine = EngineUnderTest(tmp_path_factory.mktemp("engine"))
    engine.start()
    path = archive(layout, tmp_path_factory.mktemp("archive") / "busybox.tar")
    engine.docker("load", "-i", str(path))
    engine.docker("run", "--rm", "busybox", "true")
    engine.idle_descriptors = engine.descriptors()
    yield engine
    engine.destroy()


@pytest.fixture
def engine(running_engine):
    """Return the engine; afterwards nothing of any container may be left."""
    yield running_engine
    running_engine.remove_all()
    wait_until(
        lambda: not running_engine.leftovers(),
        "no cgroup, interface, mount, process, snapshot, port or directory is left",
    )
    wait_until(
        lambda: running_engine.descriptors() <= running_engine.idle_descriptors,
        "the daemon has closed every descriptor",
        seconds=5,
    )


@pytest.fixture
def pushed(registry, layout):
    """Return the reference of busybox in the registry."""
    reference = f"{registry}/team/busybox:1"
    push(layout, "busybox", reference)
    return reference

"""The Docker SDK for Python against the engine."""

from __future__ import annotations

import io
import tarfile
import threading

import docker
import docker.errors
import pytest

from tests.support.engine import wait_until
from tests.support.place import LAN


@pytest.fixture
def sdk(engine):
    """Return a client of the SDK."""
    client = docker.DockerClient(base_url=f"unix://{engine.settings.socket}", version="auto")
    yield client
    client.close()


def test_run(sdk):
    """Output returned, streamed, or left to a container that goes on; errors as exceptions."""
    assert sdk.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    script = ["sh", "-c", "for i in 1 2 3; do echo $i; done"]
    assert list(sdk.containers.run("busybox", script, stream=True)) == [b"1\n", b"2\n", b"3\n"]
    container = sdk.containers.run("busybox", ["sleep", "1000"], detach=True, name="idle")
    assert container.status in ("created", "running")
    container.reload()
    assert container.attrs["State"]["Running"]
    with pytest.raises(docker.errors.ContainerError) as failure:
        sdk.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
    assert failure.value.exit_status == 3
    assert b"bad" in failure.value.stderr
    with pytest.raises(docker.errors.NotFound):
        sdk.containers.get("nobody")
    container.remove(force=True)


def test_exec(sdk):
    """Codes, streams apart, a socket of one's own."""
    container = sdk.containers.run("busybox", ["sleep", "1000"], detach=True)
    code, output = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 4"], demux=True)
    assert (code, output) == (4, (b"out\n", b"err\n"))
    _, stream = container.exec_run(["sh", "-c", "echo 1; echo 2"], stream=True)
    assert b"".join(stream) == b"1\n2\n"
    _, sock = container.exec_run(["cat"], stdin=True, socket=True)
    sock._sock.sendall(b"ping\n")
    header = sock.read(8)
    assert header[0] == 1
    assert sock.read(int.from_bytes(header[4:], "big")) == b"ping\n"
    sock.close()
    _, output = container.exec_run(["sh", "-c", "echo $A; id -u; pwd"], environment={"A": "b"},
                                   user="7", workdir="/tmp")  # fmt: skip
    assert output == b"b\n7\n/tmp\n"
    container.remove(force=True)


def test_archives(sdk):
    """Files go in and come out, with what is known about them."""
    container = sdk.containers.create("busybox", ["true"])
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        info = tarfile.TarInfo("note")
        info.size, info.mode = 5, 0o640
        tar.addfile(info, io.BytesIO(b"words"))
    assert container.put_archive("/tmp", body.getvalue())
    stream, found = container.get_archive("/tmp/note")
    assert (found["name"], found["size"], found["mode"]) == ("note", 5, 0o640)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        assert tar.extractfile("note").read() == b"words"
    exported = io.BytesIO(b"".join(container.export()))
    with tarfile.open(fileobj=exported) as tar:
        assert "tmp/note" in tar.getnames()
    assert {"Path": "/tmp/note", "Kind": 1} in container.diff()
    image = container.commit("sdk/made", "1", message="why", changes=["ENV A=b"])
    assert sdk.containers.run(image.id, ["sh", "-c", "echo $A"], remove=True) == b"b\n"
    container.remove()
    sdk.images.remove("sdk/made:1")


def test_logs_and_attach(sdk):
    """Generators end with the container; a window of time or lines can be had."""
    script = "for i in $(seq 10); do echo $i; done; sleep 0.2; echo end"
    container = sdk.containers.run("busybox", ["sh", "-c", script], detach=True)
    lines = list(container.logs(stream=True, follow=True))
    assert b"".join(lines).split() == [b"%d" % number for number in range(1, 11)] + [b"end"]
    assert container.logs(tail=2) == b"10\nend\n"
    assert b"T" in container.logs(timestamps=True, tail=1)
    assert container.logs(since=2**31) == b""
    assert container.wait()["StatusCode"] == 0
    container.remove()


def test_health_and_events(sdk):
    """Health is an attribute; events come as they happen."""
    health = {"test": ["CMD", "true"], "interval": 100_000_000}
    found = []
    stream = sdk.events(decode=True, filters={"type": "container"})
    reader = threading.Thread(target=lambda: found.extend(iter_until(stream, "destroy")))
    reader.start()
    container = sdk.containers.run("busybox", ["sleep", "1000"], detach=True, healthcheck=health)

    def is_healthy():
        container.reload()
        return container.health == "healthy"

    wait_until(is_healthy, "it is healthy")
    container.remove(force=True)
    reader.join(20)
    stream.close()
    actions = [event["Action"] for event in found]
    assert actions[:2] == ["create", "start"]
    assert "health_status: healthy" in actions
    assert actions[-1] == "destroy"


def iter_until(stream, action):
    """Yield events until one of that name."""
    for event in stream:
        yield event
        if event["Action"] == action:
            return


def test_verbs(sdk):
    """What else a container can be asked."""
    container = sdk.containers.run("busybox", ["sleep", "1000"], detach=True, mem_limit="64m")
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("renamed")
    container.update(mem_limit="32m", memswap_limit="64m")
    container.reload()
    assert (container.name, container.attrs["HostConfig"]["Memory"]) == ("renamed", 32 * 2**20)
    assert container.top()["Titles"][1] == "PID"
    assert container.stats(stream=False)["memory_stats"]["limit"] == 32 * 2**20
    assert next(container.stats(decode=True, stream=True))["name"] == "/renamed"
    container.restart(timeout=0)
    container.stop(timeout=0)
    container.start()
    container.kill()
    assert container.wait()["StatusCode"] == 137
    assert sdk.containers.list(all=True, filters={"name": "renamed"}) == [container]
    assert sdk.containers.prune()["ContainersDeleted"] == [container.id]


def test_networks(sdk):
    """create, connect with options, disconnect, list, prune, remove."""
    ipam = docker.types.IPAMConfig(
        pool_configs=[docker.types.IPAMPool(subnet=f"{LAN}.80.0/24", gateway=f"{LAN}.80.1")]
    )
    network = sdk.networks.create("made", driver="bridge", ipam=ipam, labels={"a": "1"})
    box = sdk.containers.run("busybox", ["sleep", "1000"], detach=True, network="made")
    other = sdk.containers.create("busybox", ["sleep", "1000"])
    network.connect(other, aliases=["known"], ipv4_address=f"{LAN}.80.9")
    other.start()
    code, output = box.exec_run(["nslookup", "known"])
    assert code == 0
    assert f"{LAN}.80.9" in output.decode()
    network.reload()
    assert {item.id for item in network.containers} == {box.id, other.id}
    network.disconnect(other)
    assert [item.name for item in sdk.networks.list(filters={"label": "a=1"})] == ["made"]
    with pytest.raises(docker.errors.APIError, match="active endpoints"):
        network.remove()
    box.remove(force=True)
    other.remove(force=True)
    assert sdk.networks.prune()["NetworksDeleted"] == ["made"]
    with pytest.raises(docker.errors.NotFound):
        sdk.networks.get("made")


def test_volumes(sdk):
    """create, list, use, prune, remove."""
    volume = sdk.volumes.create("made", driver_opts={}, labels={"a": "1"})
    out = sdk.containers.run(
        "busybox", ["sh", "-c", "echo x > /v/f; cat /v/f"], remove=True,
        volumes={"made": {"bind": "/v", "mode": "rw"}},
    )  # fmt: skip
    assert out == b"x\n"
    assert [item.name for item in sdk.volumes.list(filters={"label": "a"})] == ["made"]
    assert sdk.volumes.prune()["VolumesDeleted"] == []
    assert sdk.volumes.prune(filters={"all": True})["VolumesDeleted"] == ["made"]
    with pytest.raises(docker.errors.NotFound):
        volume.reload()
    assert sdk.df()["Volumes"] == []

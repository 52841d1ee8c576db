"""Volumes: driver options, prune, filters, events, and the files in them."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.engine import UnixConnection, wait_until


def send(engine, method, path, body=None):
    """Send bytes to the engine and return (status, bytes)."""
    connection: HTTPConnection = UnixConnection(engine.settings.socket)
    connection.request(method, path, body)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


def test_verbs_of_the_cli(engine):
    """create, ls, inspect, rm and prune, with filters and events."""
    begin = str(time.time())
    engine.docker("volume", "create", "--label", "a=1", "one")
    engine.docker("volume", "create", "--label", "a=2", "two")
    assert engine.docker("volume", "create", "one").stdout == "one\n", "it is there already"
    anonymous = engine.docker("volume", "create").stdout.strip()
    assert len(anonymous) == 64

    def listed(*filters):
        words = [word for item in filters for word in ("--filter", item)]
        return engine.docker("volume", "ls", "-q", *words).stdout.split()

    assert listed("label=a") == ["one", "two"]
    assert listed("label=a=2") == ["two"]
    assert listed("name=on") == ["one"]
    assert listed("driver=local", "label=a=1") == ["one"]
    engine.docker("run", "-d", "--name", "box", "-v", "one:/v", "busybox", "sleep", "1000")
    assert listed("dangling=false") == ["one"]
    assert set(listed("dangling=true")) == {"two", anonymous}
    busy = engine.docker("volume", "rm", "one", check=1)
    assert "remove one: volume is in use" in busy.stderr
    assert engine.request("DELETE", "/volumes/one")[0] == 409
    pruned = engine.docker("volume", "prune", "-f").stdout
    assert anonymous in pruned
    assert listed() == ["one", "two"]
    pruned = engine.docker("volume", "prune", "-af", "--filter", "label!=a=1").stdout
    assert "two" in pruned
    engine.docker("rm", "-f", "box")
    engine.docker("volume", "rm", "one")
    gone = engine.docker("volume", "inspect", "one", check=1)
    assert "no such volume" in gone.stderr
    engine.docker("volume", "rm", "-f", "one")
    words = ["--since", begin, "--until", str(time.time()), "--filter", "type=volume"]
    events = engine.docker("events", *words, "--format", "{{.Action}}").stdout.split()
    assert events.count("create") == 3
    assert {"mount", "unmount", "destroy", "prune"} <= set(events)


def test_disk_usage(engine):
    """Sizes of volumes, images and containers, and how many use them."""
    script = "head -c 1000000 /dev/zero > /v/file; head -c 5000 /dev/zero > /own; sleep 1000"
    engine.docker("run", "-d", "--name", "box", "-v", "big:/v", "busybox", "sh", "-c", script)
    wait_until(lambda: engine.docker("exec", "box", "ls", "/own", check=None).stdout, "it wrote")
    status, usage = engine.request("GET", "/system/df")
    assert status == 200
    (volume,) = usage["Volumes"]
    assert volume["UsageData"] == {"Size": 1_000_000, "RefCount": 1}
    (row,) = usage["Containers"]
    assert row["SizeRw"] >= 5000
    (image,) = [item for item in usage["Images"] if "busybox:latest" in item["RepoTags"]]
    assert image["Containers"] == 1
    assert usage["LayersSize"] >= image["Size"] > 0
    assert list(engine.request("GET", "/system/df?type=volume")[1]) == ["Volumes"]
    assert engine.request("GET", "/system/df?type=nothing")[0] == 400
    assert "1MB" in engine.docker("system", "df", "-v").stdout
    engine.docker("rm", "-f", "box")
    engine.docker("system", "prune", "-f")
    assert "big" in engine.docker("volume", "prune", "-af").stdout


def test_driver_options(engine, tmp_path):
    """A tmpfs shared by its users, a directory of the host, and what is refused."""
    engine.docker("volume", "create", "-d", "local", "-o", "type=tmpfs", "-o", "device=tmpfs",
                  "-o", "o=size=2m,uid=1000", "quick")  # fmt: skip
    engine.docker("run", "-d", "--name", "one", "-v", "quick:/q", "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--name", "two", "-v", "quick:/q", "busybox", "sleep", "1000")
    engine.docker("exec", "one", "sh", "-c", "echo here > /q/file")
    assert engine.docker("exec", "two", "cat", "/q/file").stdout == "here\n"
    assert "2048" in engine.docker("exec", "two", "df", "-k", "/q").stdout
    engine.kill()
    engine.start()
    engine.docker("rm", "-f", "one")
    assert engine.docker("exec", "two", "cat", "/q/file").stdout == "here\n"
    engine.docker("rm", "-f", "two")
    assert "tmpfs" not in "".join(
        line for line in Path("/proc/self/mountinfo").read_text().splitlines(keepends=True)
        if str(engine.settings.root) in line
    )  # fmt: skip
    shared = tmp_path / "shared"
    shared.mkdir()
    bind = ("type=none", "o=bind", f"device={shared}")
    engine.docker("volume", "create", *(word for item in bind for word in ("-o", item)), "dir")
    engine.docker("run", "--rm", "-v", "dir:/d", "busybox", "sh", "-c", "echo x > /d/file")
    assert (shared / "file").read_text() == "x\n"
    mount = "type=volume,src=made,dst=/m," + ",".join(f"volume-opt={item}" for item in bind)
    shown = engine.docker("run", "--rm", "--mount", mount, "busybox", "cat", "/m/file")
    assert shown.stdout == "x\n"
    for words, text in (
        (("-o", "nonsense=1"), 'invalid option: "nonsense"'),
        (("-o", "type=tmpfs"), 'missing required option: "device"'),
        (("-o", "o=bind"), "missing required option"),
        (("-o", "size=1g"), "quota size requested but no quota support"),
        (("-o", "size=many"), "invalid size"),
        (("-d", "nothing"), 'plugin "nothing" not found'),
    ):
        done = engine.docker("volume", "create", *words, "bad", check=1)
        assert text in done.stderr, words
    for kind, package in (("nfs", "nfs-common"), ("cifs", "cifs-utils")):
        if Path(f"/sbin/mount.{kind}").exists():
            continue
        engine.docker("volume", "create", "-o", f"type={kind}", "-o", "device=:/x", kind)
        done = engine.docker("run", "--rm", "-v", f"{kind}:/n", "busybox", "true", check=125)
        assert f"(package {package})" in done.stderr
    engine.docker("volume", "create", "-o", "type=ext4", "-o", "device=/nowhere", "broken")
    done = engine.docker("run", "--rm", "-v", "broken:/b", "busybox", "true", check=125)
    assert "error while mounting volume" in done.stderr
    assert "bad" not in engine.docker("volume", "ls", "-q").stdout.split()


def test_files(engine):
    """Listed, read, written, removed; never outside of the volume, whatever links say."""
    engine.docker("volume", "create", "data")
    base = "/hythe/volumes/data"
    assert send(engine, "POST", f"{base}/directory?path=/a/b") == (201, b"")
    big = bytes(range(256)) * 5000
    assert send(engine, "PUT", f"{base}/file?path=/a/b/file", big) == (204, b"")
    assert send(engine, "GET", f"{base}/file?path=/a/b/file") == (200, big)
    engine.docker("run", "--rm", "-v", "data:/v", "busybox", "sh", "-c",
                  "ln -s /etc/passwd /v/out; ln -s ../../../../etc/passwd /v/up; ln -s a/b /v/in; "
                  "mkfifo /v/pipe; chown 1000 /v/a/b/file; chmod 600 /v/a/b/file")  # fmt: skip
    status, data = send(engine, "GET", f"{base}/files?path=/")
    rows = {row["Name"]: row for row in json.loads(data)["Entries"]}
    assert status == 200
    kinds = {name: row["Kind"] for name, row in rows.items()}
    assert kinds == {"a": "directory", "in": "link", "out": "link", "up": "link", "pipe": "other"}
    assert rows["out"]["Target"] == "/etc/passwd"
    for path in ("/out", "/up", "/../../../etc/passwd", "/nothing"):
        status, data = send(engine, "GET", f"{base}/file?path={path}")
        assert status == 404, (path, data)
    assert send(engine, "GET", f"{base}/file?path=/pipe")[0] == 400
    assert send(engine, "GET", f"{base}/file?path=/in/file")[1] == big
    assert send(engine, "PUT", f"{base}/file?path=/out", b"x")[0] == 404
    assert send(engine, "PUT", f"{base}/file?path=/a/b/file", b"new")[0] == 204
    shown = engine.docker(
        "run", "--rm", "-v", "data:/v", "busybox", "stat", "-c", "%u %a", "/v/a/b/file"
    )
    assert shown.stdout == "1000 600\n"
    assert send(engine, "DELETE", f"{base}/file?path=/a")[0] == 204
    assert send(engine, "DELETE", f"{base}/file?path=/")[0] == 400
    assert send(engine, "DELETE", f"{base}/file?path=/a")[0] == 404
    assert send(engine, "GET", "/hythe/volumes/nothing/files")[0] == 404


def test_backup_and_restore(engine):
    """As a tar stream, owners and modes included, into another volume or over the same."""
    engine.docker("run", "--rm", "-v", "data:/v", "busybox", "sh", "-c",
                  "mkdir /v/d; echo x > /v/d/file; chown 1000:2000 /v/d/file; chmod 640 /v/d/file; "
                  "ln -s d /v/l; ln /v/d/file /v/hard")  # fmt: skip
    status, backup = send(engine, "GET", "/hythe/volumes/data/archive")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(backup)) as tar:
        member = tar.getmember("./d/file")
        assert (member.uid, member.gid, member.mode) == (1000, 2000, 0o640)
    engine.docker("volume", "create", "copy")
    send(engine, "PUT", "/hythe/volumes/copy/file?path=/old", b"x")
    assert send(engine, "PUT", "/hythe/volumes/copy/archive?clear=1", backup)[0] == 204
    shown = engine.docker("run", "--rm", "-v", "copy:/v", "busybox", "sh", "-c",
                          "cd /v; ls; stat -c '%u %g %a %h' d/file; readlink l").stdout  # fmt: skip
    assert shown.split() == ["d", "hard", "l", "1000", "2000", "640", "2", "d"]
    status, answer = send(engine, "PUT", "/hythe/volumes/copy/archive", b"no tar at all" * 100)
    assert (status, b"invalid tar" in answer) == (400, True)


@pytest.mark.parametrize("read", ["ro", "rw"])
def test_an_image_fills_it(engine, read):
    """With owner and mode, but for nocopy; a volume with something in it is left alone."""
    engine.docker("run", "--rm", "-v", f"seeded:/data:{read}", "busybox", "true")
    shown = engine.docker("run", "--rm", "-v", "seeded:/x", "busybox", "cat", "/x/seed").stdout
    assert shown == "from the image\n"
    engine.docker("run", "--rm", "-v", "empty:/data:nocopy", "busybox", "true")
    assert engine.docker("run", "--rm", "-v", "empty:/x", "busybox", "ls", "/x").stdout == ""


def test_removal_that_was_cut_off(engine):
    """Whole, or gone: what was renamed for removal is removed by the next engine."""
    engine.docker("run", "--rm", "-v", "data:/v", "busybox", "touch", "/v/file")
    engine.kill()
    root = engine.settings.state / "volumes"
    (root / "data").rename(root / ".removed-data-1")
    engine.start()
    assert engine.docker("volume", "ls", "-q").stdout == ""
    wait_until(lambda: not list(root.iterdir()), "the data is gone")


def test_uploads_and_devices(engine):
    """A file is whole or as it was; a device in its place is neither read nor written."""
    script = "echo good > /v/file; mknod /v/.file.part c 1 3; mknod /v/null c 1 3"
    engine.docker("run", "--rm", "-v", "data:/v", "busybox", "sh", "-c", script)
    base = "/hythe/volumes/data"
    assert send(engine, "GET", f"{base}/file?path=/null")[0] == 400
    assert send(engine, "PUT", f"{base}/file?path=/file", b"better")[0] == 204
    assert send(engine, "GET", f"{base}/file?path=/file") == (200, b"better")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(engine.settings.socket))
        head = f"PUT {base}/file?path=/file HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        client.sendall(head.encode() + b"\r\n" + b"x" * 500)
        root = engine.settings.state / "volumes" / "data" / "_data"
        parts = lambda: [p for p in root.glob(".*.part") if p.is_file()]  # noqa: E731
        wait_until(parts, "it is being written")
    wait_until(lambda: not parts(), "the part is gone")
    assert send(engine, "GET", f"{base}/file?path=/file") == (200, b"better")

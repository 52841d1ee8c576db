"""Files in and out of containers: cp, diff, export, commit."""

from __future__ import annotations

import io
import json
import os
import tarfile


def run(engine, name, command, *options):
    """Run a shell command in a new container and wait for its end."""
    return engine.docker("run", "--name", name, *options, "busybox", "sh", "-c", command)


def test_cp_out_and_in(engine, tmp_path):
    """Files, directories and links, from a running container and a stopped one."""
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    make = "mkdir -p /d/e; echo one > /d/f; ln -s f /d/l; chmod 640 /d/f; chown 5:6 /d/f"
    engine.docker("exec", "box", "sh", "-c", make)
    for state in ("running", "stopped"):
        target = tmp_path / state
        target.mkdir()
        engine.docker("cp", "box:/d", str(target))
        assert (target / "d" / "f").read_text() == "one\n"
        assert os.readlink(target / "d" / "l") == "f"
        assert (target / "d" / "f").stat().st_mode & 0o777 == 0o640
        engine.docker("cp", "box:/d/.", str(target / "content"))
        assert (target / "content" / "f").exists()
        engine.docker("cp", "-L", "box:/d/l", str(target / "followed"))
        assert (target / "followed").read_text() == "one\n"
        (target / "up").mkdir()
        (target / "up" / "new").write_text(state)
        engine.docker("cp", str(target / "up"), f"box:/d/{state}")
        engine.docker("stop", "-t", "0", "box")
    engine.docker("start", "box")
    assert engine.docker("exec", "box", "cat", "/d/running/new", "/d/stopped/new").stdout == (
        "runningstopped"
    )
    streamed = engine.docker("cp", "box:/d/f", "-")
    assert "one" in streamed.stdout


def test_cp_errors(engine, tmp_path):
    """The words that people know."""
    engine.docker("create", "--name", "box", "busybox")
    missing = engine.docker("cp", "box:/none", str(tmp_path), check=1).stderr
    assert "Could not find the file /none in container box" in missing
    (tmp_path / "f").write_text("x")
    nowhere = engine.docker("cp", str(tmp_path / "f"), "box:/no/dir/", check=1).stderr
    assert "Could not find the file /no" in nowhere or "no such directory" in nowhere
    unknown = engine.docker("cp", "nobody:/x", str(tmp_path), check=1).stderr
    assert "No such container: nobody" in unknown
    engine.docker("run", "-d", "--name", "fixed", "--read-only", "busybox", "sleep", "1000")
    refused = engine.docker("cp", str(tmp_path / "f"), "fixed:/", check=1).stderr
    assert "container rootfs is marked read-only" in refused
    (tmp_path / "d").mkdir()
    run(engine, "kinds", "mkdir /d; touch /f")
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("d"))
    query = "path=/&noOverwriteDirNonDir=1"
    status, answer = put(engine, "kinds", query, body.getvalue())
    assert status == 400
    assert 'cannot overwrite directory "/d" with non-directory "/d"' in answer
    status, answer = put(engine, "kinds", "path=/f", body.getvalue())
    assert (status, "extraction point is not a directory" in answer) == (400, True)
    status, answer = put(engine, "kinds", "path=/", b"this is no tar" * 100)
    assert (status, "invalid tar" in answer) == (400, True)


def put(engine, name, query, body):
    """Send an archive to the API; return status and message."""
    status, answer = engine.request("PUT", f"/containers/{name}/archive?{query}", body)
    return status, answer["message"] if answer else ""


def test_links_lead_nowhere_outside(engine, tmp_path):
    """A link to /etc, in the container or in the archive, is the container's /etc."""
    secret = tmp_path / "secret"
    secret.write_text("host's own")
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    engine.docker("exec", "box", "ln", "-s", str(tmp_path), "/out")
    for state in ("running", "stopped"):
        missing = engine.docker("cp", "box:/out/secret", str(tmp_path / "got"), check=1).stderr
        assert "Could not find the file" in missing
        body = io.BytesIO()
        with tarfile.open(fileobj=body, mode="w") as tar:
            link = tarfile.TarInfo("way")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
            tar.addfile(link)
            for name in ("way/secret", "../../../../../../" + str(secret), "out/secret"):
                info = tarfile.TarInfo(name)
                info.size = 5
                tar.addfile(info, io.BytesIO(b"EVIL!"))
        put(engine, "box", "path=/", body.getvalue())
        assert secret.read_text() == "host's own", state
        engine.docker("stop", "-t", "0", "box")


def test_cp_reaches_volumes(engine, tmp_path):
    """What is mounted is seen through cp, though the container never ran."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "f").write_text("bound")
    words = ("-v", "kept:/v", "-v", f"{tmp_path}/host:/b:ro")
    engine.docker("create", "--name", "box", *words, "busybox")
    (tmp_path / "up").write_text("into the volume")
    engine.docker("cp", str(tmp_path / "up"), "box:/v/up")
    engine.docker("cp", "box:/b/f", str(tmp_path / "down"))
    assert (tmp_path / "down").read_text() == "bound"
    refused = engine.docker("cp", str(tmp_path / "up"), "box:/b/", check=1).stderr
    assert "read-only" in refused
    assert engine.docker("run", "--rm", "-v", "kept:/v", "busybox", "cat", "/v/up").stdout == (
        "into the volume"
    )
    engine.docker("rm", "box")
    engine.docker("volume", "rm", "kept")


def test_cp_gives_to_the_containers_user(engine, tmp_path):
    """With -a the archive's owner becomes the container's own user."""
    (tmp_path / "f").write_text("x")
    engine.docker("run", "-d", "--name", "box", "-u", "1234:77", "busybox", "sleep", "1000")
    engine.docker("cp", "-a", str(tmp_path / "f"), "box:/tmp/f")
    owner = engine.docker("exec", "box", "stat", "-c", "%u:%g", "/tmp/f").stdout.strip()
    assert owner == "1234:77"


def test_diff(engine):
    """Added, changed, deleted; not what the engine itself puts there."""
    run(engine, "box", "echo x > /new; rm /bin/vi; mkdir -p /etc/deep/er; chmod 700 /tmp")
    rows = sorted(engine.docker("diff", "box").stdout.splitlines())
    assert {"A /new", "A /etc/deep/er", "C /bin", "C /tmp", "D /bin/vi"} <= set(rows)
    assert not [row for row in rows if row[2:] in ("/dev", "/proc", "/sys", "/etc/hosts")]
    engine.docker("create", "--name", "untouched", "busybox")
    assert engine.docker("diff", "untouched").stdout == ""


def test_export(engine, tmp_path):
    """The whole root as one archive, deleted files missing."""
    run(engine, "box", "echo x > /new; rm /bin/vi; ln /new /again", "-v", "/data")
    path = tmp_path / "box.tar"
    engine.docker("export", "-o", str(path), "box")
    with tarfile.open(path) as tar:
        names = {name.rstrip("/"): tar.getmember(name) for name in tar.getnames()}
        assert {"new", "again", "bin/busybox", "data"} <= set(names)
        assert "bin/vi" not in names
        assert names["new"].islnk() or names["again"].islnk()
        assert tar.extractfile("new").read() == b"x\n"


def test_commit(engine):
    """A new image with the changes, the container's config, and instructions on top."""
    run(engine, "box", "echo x > /new; rm /bin/vi; rm -rf /tmp; mkdir /tmp", "-e", "A=1")
    engine.docker("commit", "-m", "why", "-a", "sam", "-c", 'CMD ["cat", "/new"]',
                  "-c", "ENV B=2 C='3 4'", "-c", "LABEL x=y", "-c", "EXPOSE 80",
                  "box", "made:1")  # fmt: skip
    assert engine.docker("run", "--rm", "made:1").stdout == "x\n"
    show = (
        "echo $A $B $C; ls /bin/vi 2>/dev/null || echo gone; ls -A /tmp; cat /etc/hosts | head -1"
    )
    lines = engine.docker("run", "--rm", "made:1", "sh", "-c", show).stdout.splitlines()
    assert lines == ["1 2 3 4", "gone", "127.0.0.1\tlocalhost"]
    config = json.loads(engine.docker("inspect", "-f", "{{json .Config}}", "made:1").stdout)
    assert config["Labels"] == {"x": "y"}
    assert config["ExposedPorts"] == {"80/tcp": {}}
    history = engine.docker("history", "made:1", "--format", "{{.Comment}}").stdout.splitlines()
    assert history[0] == "why"
    wrong = engine.docker("commit", "-c", "FROM x", "box", check=1).stderr
    assert "FROM is not a valid change command" in wrong
    identifier = engine.docker("commit", "box").stdout.strip()
    assert identifier.startswith("sha256:")
    engine.docker("rm", "box")
    engine.docker("rmi", "made:1", identifier)


def test_commit_of_a_running_container(engine):
    """It is paused meanwhile and goes on; the layer can be committed on again."""
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo 1 > /n; sleep 1000")
    engine.docker("commit", "box", "step:1")
    engine.docker("run", "--name", "next", "step:1", "sh", "-c", "cat /n; echo 2 > /n")
    engine.docker("commit", "next", "step:2")
    assert engine.docker("run", "--rm", "step:2", "cat", "/n").stdout == "2\n"
    assert engine.docker("exec", "box", "cat", "/n").stdout == "1\n"
    engine.docker("rm", "-f", "box", "next")
    engine.docker("rmi", "step:2", "step:1")

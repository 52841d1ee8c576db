"""Images and containers that mean harm: each test would fail without the defence it names."""

from __future__ import annotations

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from tests.support.engine import wait_until
from tests.support.images import archive, busybox


@pytest.fixture
def load(engine, tmp_path):
    """Return a function that loads busybox with more layers and another configuration."""
    names = []

    def load(name, *layers, **config):
        builder = busybox()
        builder.config |= config
        for layer in layers:
            builder.add_layer(layer)
        path = archive(builder.write(tmp_path / name, name), tmp_path / f"{name}.tar")
        engine.docker("load", "-i", str(path))
        names.append(name)
        return name

    yield load
    engine.remove_containers()
    for name in names:
        engine.docker("rmi", "-f", name)


def test_a_volume_is_filled_without_following_links(engine, load, tmp_path):
    """A layer that lays a link where the next has a directory reaches nothing of the host."""
    outside = tmp_path / "outside"
    outside.mkdir()
    load(
        "links",
        {"vol": (None, 0o755), "vol/d": (str(outside), 0o777)},
        {"vol/d": (None, 0o755), "vol/d/file": (b"here", 0o644)},
        Volumes={"/vol": {}},
    )
    assert engine.docker("run", "--rm", "links", "cat", "/vol/d/file").stdout == "here"
    assert not list(outside.iterdir())


def test_a_volume_in_an_image_does_not_climb(engine, load, tmp_path):
    """Dots in a declared volume lead no further than the container's root."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("the host's")
    path = "/" + "../" * 20 + str(secret).lstrip("/")
    load("dots", Volumes={path: {}})
    shown = engine.docker("run", "--rm", "dots", "ls", "-R", str(secret)).stdout
    assert "key" not in shown


def test_no_directory_of_the_host_is_open_at_exec(engine, load):
    """A program's path through /proc/self/fd finds nothing (CVE-2024-21626)."""
    for number in range(3, 40):
        path = f"/proc/self/fd/{number}/../../../../../../../bin/true"
        done = engine.docker("run", "--rm", "busybox", path, check=None)
        assert done.returncode == 127, (number, done.stderr)
        box = {"working": f"/proc/self/fd/{number}"}
        done = engine.docker("run", "--rm", "-w", box["working"], "busybox", "pwd", check=None)
        assert done.returncode != 0, done.stdout


def test_the_interpreter_cannot_be_changed(engine, load):
    """What /proc/self/exe is before a program starts is on a read-only mount (CVE-2019-5736)."""
    interpreter = Path(os.path.realpath(sys.executable))
    before = interpreter.stat()
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    (supervisor,) = engine.supervisors()
    exe = f"/proc/{supervisor}/exe"
    assert os.stat(exe).st_ino == before.st_ino
    with pytest.raises(OSError, match="Read-only file system"):
        os.chmod(exe, before.st_mode | stat.S_ISUID)
    assert interpreter.stat().st_mode == before.st_mode


def test_accounts_that_are_a_pipe(engine, load):
    """A FIFO where users are looked up is nobody's file: nothing waits for it."""
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c",
                  "rm /etc/passwd; mkfifo /etc/passwd; sleep 1000")  # fmt: skip
    engine.docker("exec", "box", "sh", "-c", "until [ -p /etc/passwd ]; do :; done")
    shown = engine.docker("exec", "-u", "5", "box", "grep", "Uid", "/proc/self/status").stdout
    assert shown.split()[1] == "5"
    engine.docker("stop", "-t", "0", "box")
    engine.docker("start", "box")


def test_an_exec_that_is_held_up_holds_up_nothing_else(engine):
    """Frozen before its exec is there: stop, kill and the other streams go on."""
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    box = engine.docker("inspect", "-f", "{{.Id}}", "box").stdout.strip()
    group = Path(f"/sys/fs/cgroup/unified/{engine.settings.cgroup_parent}/{box}")
    freezer = Path(f"/sys/fs/cgroup/freezer/{engine.settings.cgroup_parent}/{box}")
    control = freezer / "freezer.state" if freezer.exists() else group / "cgroup.freeze"
    frozen, thawed = ("FROZEN", "THAWED") if freezer.exists() else ("1", "0")
    control.write_text(frozen)
    _, made = engine.request("POST", f"/containers/{box}/exec", {"Cmd": ["true"]})
    caller = threading.Thread(
        target=engine.request, args=("POST", f"/exec/{made['Id']}/start", {"Detach": True})
    )
    caller.start()
    assert engine.request("GET", f"/containers/{box}/json")[0] == 200
    assert engine.request("POST", f"/containers/{box}/update", {"Memory": 64 << 20})[0] == 200
    control.write_text(thawed)
    caller.join(20)
    assert not caller.is_alive()


def test_commit_of_a_container_that_is_probed(engine):
    """A health check that meets a frozen container waits, and so does nobody else."""
    engine.docker("run", "-d", "--name", "box", "--health-cmd", "true", "--health-interval", "50ms",
                  "busybox", "sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=40; touch /done; "
                  "sleep 1000")  # fmt: skip
    wait_until(lambda: engine.docker("exec", "box", "ls", "/done", check=None).stdout, "it wrote")
    for _ in range(3):
        engine.docker("commit", "box", "probed")
    engine.docker("exec", "box", "true")
    engine.docker("rmi", "probed")


@pytest.mark.parametrize("path", ["dev", "sys", "proc"])
def test_the_engines_own_mounts_follow_no_link(engine, load, path):
    """An image whose /dev leads into /proc is refused (CVE-2019-16884)."""
    name = load(f"{path}link", {path: ("proc/self/attr" if path != "proc" else "tmp", 0o777)})
    done = engine.docker("run", "--rm", name, "true", check=None)
    assert f"/{path} of the image is not a directory" in done.stderr


def test_users_that_the_kernel_takes_for_none(engine):
    """The number that means "unchanged" does not leave one root."""
    for user in ("4294967295", "2147483648", "0:4294967295", "²"):
        done = engine.docker("run", "--rm", "-u", user, "busybox", "id", check=None)
        assert done.returncode != 0, (user, done.stdout)
        assert "unable to find user" in done.stderr


def test_directories_deeper_than_a_stack(engine, tmp_path):
    """They are removed, counted and copied like others, also those in volumes."""
    deep = "i=0; while [ $i -lt 1300 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done"
    engine.docker("run", "--name", "box", "-v", "deep:/v", "busybox", "sh", "-c",
                  f"({deep}) && cd /v && {deep}")  # fmt: skip
    assert engine.docker("ps", "-as", "--format", "{{.Size}}").stdout
    assert engine.docker("export", "box", "-o", str(tmp_path / "tar")).returncode == 0
    done = engine.docker("diff", "box", check=None)
    assert "nested too deeply" in done.stderr
    root = engine.settings.state / "volumes"
    engine.docker("rm", "box")
    engine.docker("volume", "rm", "deep")
    wait_until(lambda: not list(root.iterdir()), "the volume is gone")


def test_requests_that_no_terminal_can_follow(engine):
    """A size out of range, a path of any length: an error, and the container goes on."""
    engine.docker("run", "-dt", "--name", "box", "busybox", "sleep", "1000")
    status, answer = engine.request("POST", "/containers/box/resize?h=70000&w=10")
    assert (status, answer["message"]) == (400, "invalid terminal size: 70000 rows, 10 columns")
    done = engine.docker("exec", "-w", "/" + "a" * 100_000, "box", "true", check=None)
    assert done.returncode != 0
    long = {"Image": "busybox", "Cmd": ["/" + "a" * 70_000], "HostConfig": {"NetworkMode": "none"}}
    _, made = engine.request("POST", "/containers/create", long)
    status, answer = engine.request("POST", f"/containers/{made['Id']}/start")
    assert status in (400, 500), answer
    assert len(engine.supervisors()) == 1
    assert engine.docker("exec", "box", "sh", "-c", "ps | grep -c supervisor").stdout != "2\n"
    engine.docker("exec", "box", "true")


def test_kernel_parameters_of_the_host(engine):
    """Nobody sets those of a namespace that is not the container's own."""
    for words in (("--ipc", "host", "--sysctl", "kernel.msgmni=5"),
                  ("--network", "host", "--sysctl", "net.ipv4.ip_forward=0")):  # fmt: skip
        done = engine.docker("run", "--rm", *words, "busybox", "true", check=None)
        assert "not allowed in host" in done.stderr, words


def test_a_read_only_root_is_not_copied_into(engine):
    """Also through a link in a volume."""
    engine.docker("run", "--name", "box", "--read-only", "-v", "/vol", "busybox",
                  "ln", "-s", "/bin", "/vol/l")  # fmt: skip
    done = engine.docker("cp", "/etc/hostname", "box:/vol/l/evil", check=None)
    assert done.returncode != 0
    assert "evil" not in engine.docker("diff", "box").stdout

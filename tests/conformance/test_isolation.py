"""What a container may not do, asked from inside; each line would change without its defence."""

from __future__ import annotations

import hashlib
import os
import stat
import sys

import pytest

from engine.kernel import cgroups

DOCKER_DEFAULT = "00000000a80425fb"  # the capabilities of the Docker Engine's containers


@pytest.fixture(params=["run", "exec"])
def inside(request, engine):
    """Return a function that runs a script in a container, as its program or by exec."""
    engine.docker("run", "-d", "--name", "cell", "busybox", "sleep", "1000")
    words = ("run", "--rm", "busybox") if request.param == "run" else ("exec", "cell")

    def script(text, *flags):
        ready = (words[0], *flags, *words[1:])
        return engine.docker(*ready, "sh", "-c", f"{{ {text}; }} 2>&1", check=None).stdout

    yield script
    engine.docker("rm", "-f", "cell")


def test_privileges(inside):
    """Docker's capabilities, none inheritable or ambient, and a seccomp filter."""
    status = dict(line.split(":\t", 1) for line in inside("cat /proc/self/status").splitlines())
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == DOCKER_DEFAULT
    assert status["CapInh"] == status["CapAmb"] == "0" * 16
    assert status["Seccomp"] == "2"


def test_no_descriptor_of_the_engine_is_left(inside):
    """Standard streams and the one that lists them."""
    listed = inside("ls /proc/self/fd").split()
    assert listed == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("act", "refusal"),
    [
        ("unshare -m true", "Operation not permitted"),
        ("mount -t tmpfs none /tmp", "permission denied"),
        ("echo 1 > /proc/sys/kernel/panic", "Read-only file system"),
        ("echo x > /proc/sys/kernel/core_pattern", "Read-only file system"),
        ("touch /sys/x", "Read-only file system"),
        ("mknod /tmp/disk b 8 0 && cat /tmp/disk", "Operation not permitted"),
        ("mknod /tmp/mem c 1 1 && cat /tmp/mem", "Operation not permitted"),
    ],
)
def test_refused(inside, act, refusal):
    """The kernel says no."""
    assert refusal in inside(act)


def test_masked_paths_are_empty(inside):
    """Files and directories of /proc and /sys that tell of the host."""
    assert inside("ls /sys/firmware /proc/acpi 2>/dev/null | grep -v :").strip() == ""
    assert inside("head -c 1 /proc/timer_list; head -c 1 /proc/keys").strip() in (
        "",
        "head: /proc/timer_list: No such file or directory",
    )


def test_the_container_sees_itself_alone(inside):
    """Its own processes and the name it has, no process of the host."""
    numbers = [word for word in inside("ls /proc").split() if word.isdigit()]
    assert len(numbers) <= 6
    assert len(inside("hostname").strip()) == 12


def digest(path):
    """Return a file's SHA-256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("flags", [(), ("--cap-add", "SYS_PTRACE")])
def test_the_engines_program_cannot_be_overwritten(engine, flags):
    """Whoever waits for an exec finds no way to the host's file behind it (CVE-2019-5736)."""
    program = os.path.realpath(sys.executable)
    before = digest(program)
    attack = (
        "while :; do for p in /proc/[0-9]*; do"
        "  if readlink $p/exe | grep -q python; then echo seen; fi;"
        "  case $(readlink $p/exe) in *python*) echo x >> $p/exe && echo WRITTEN;; esac;"
        "done; done 2>/dev/null"
    )
    engine.docker("run", "-d", "--name", "evil", *flags, "busybox", "sh", "-c", attack)
    for _ in range(15):
        engine.docker("exec", "evil", "true")
    assert "WRITTEN" not in engine.docker("logs", "evil").stdout
    assert digest(program) == before


def test_nothing_is_mounted_into_proc(engine, tmp_path):
    """Neither by name nor through a link of the image (CVE-2025-31133 and its kind)."""
    (tmp_path / "file").write_text("forged")
    for target in ("/proc", "/proc/sys/kernel", "/proc/self"):
        words = ("-v", f"{tmp_path}:{target}")
        result = engine.docker("run", "--rm", *words, "busybox", "true", check=125)
        assert "cannot be mounted because it is inside /proc" in result.stderr
    engine.docker("run", "--name", "linked", "busybox", "ln", "-s", "/proc/sys", "/way")
    engine.docker("commit", "linked", "linked:1")
    for mount in (("-v", f"{tmp_path}:/way/kernel"), ("--tmpfs", "/way/kernel")):
        result = engine.docker("run", "--rm", *mount, "linked:1", "true", check=125)
        assert "cannot be mounted because it is inside /proc" in result.stderr
    figures = ("-v", f"{tmp_path}/file:/proc/uptime")
    assert engine.docker("run", "--rm", *figures, "busybox", "cat", "/proc/uptime").stdout == (
        "forged"
    )
    engine.docker("rm", "linked")
    engine.docker("rmi", "linked:1")


def test_a_working_directory_cannot_be_a_descriptor(engine):
    """No path leads to a directory of the host that was left open (CVE-2024-21626)."""
    for number in range(3, 12):
        words = ("-w", f"/proc/self/fd/{number}")
        result = engine.docker(
            "run", "--rm", *words, "busybox", "sh", "-c", "pwd; ls ..", check=None
        )
        assert result.returncode != 0 or "bin" not in result.stdout
    engine.docker("run", "-d", "--name", "cell", "busybox", "sleep", "1000")
    for number in range(3, 12):
        words = ("-w", f"/proc/self/fd/{number}")
        result = engine.docker("exec", *words, "cell", "ls", check=None)
        assert result.returncode != 0


def test_a_container_cannot_bring_its_own_python(engine):
    """Nothing from inside is ever loaded by the engine's own processes."""
    plant = (
        "for d in /usr/lib/python3.11 /usr/lib/python3.11/encodings /usr/lib; do mkdir -p $d;"
        " for m in ascii idna pwd grp termios struct; do"
        ' echo \'open("/pwned", "w")\' > $d/$m.py; done; done; sleep 1000'
    )
    engine.docker("run", "-d", "--name", "cell", "busybox", "sh", "-c", plant)
    engine.docker("exec", "cell", "true")
    engine.docker("exec", "-u", "nobody-here", "cell", "true", check=None)
    engine.docker("cp", "cell:/etc/passwd", "-", check=None)
    engine.docker("commit", "cell", "planted:1")
    words = ("--sysctl", "kernel.msgmax=4096", "--cap-drop", "ALL", "-u", "5:6")
    engine.docker("run", "--rm", *words, "planted:1", "true")
    assert "pwned" not in engine.docker("exec", "cell", "ls", "/").stdout
    engine.docker("rm", "-f", "cell")
    engine.docker("rmi", "planted:1")


def test_the_engines_own_files_are_closed(engine):
    """Nothing that a container made setuid is within others' reach."""
    root, run = engine.settings.state, engine.settings.run
    for path, mode in (
        (root, 0o700),
        (root / "snapshots", 0o711),
        (root / "containers", 0o711),
        (root / "content", 0o700),
        (engine.settings.database, 0o600),
        (run / "rootfs", 0o700),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert stat.S_IMODE(engine.settings.socket.stat().st_mode) == 0o660
    engine.docker("run", "-d", "--name", "cell", "busybox", "sleep", "1000")
    (state,) = (run / "containers").iterdir()
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "control.sock").stat().st_mode) == 0o600
    # An abstract socket would be open to every container with the host's network.
    listed = (line.split()[-1] for line in open("/proc/net/unix"))  # noqa: SIM115
    assert not [name for name in listed if name.startswith("@") and "hythe" in name]


def test_defaults_against_exhaustion(engine):
    """A fork bomb is held without being asked to."""
    engine.docker("run", "-d", "--name", "cell", "busybox", "sleep", "1000")
    container = engine.docker("inspect", "-f", "{{.Id}}", "cell").stdout.strip()
    group = cgroups.Cgroup(f"{engine.settings.cgroup_parent}/{container}")
    assert 0 < int(cgroups.read(group.path("pids", "pids.max"))) <= 4096


def test_unknown_routes_are_refused(engine):
    """Nothing is passed through that is not in the table."""
    for path in (
        "/containers/cell/nothing",
        "/etc/passwd",
        "/v1.51/../../etc",
        "/containers//json",
    ):
        assert engine.request("GET", path)[0] in (400, 404, 405), path
    assert engine.request("DELETE", "/info")[0] in (404, 405)

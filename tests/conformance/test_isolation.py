"""What a container may not do, asked from inside; each line would change without its defence."""

from __future__ import annotations

import pytest

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

"""The unmodified docker CLI against the engine, as a person uses it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.error
import urllib.request

import pexpect
import pytest

from tests.support.engine import wait_until
from tests.support.registry import free_port


def test_version_and_info(engine):
    """The CLI knows the engine and finds no warning about the API."""
    assert "Hythe Engine" in engine.docker("version").stdout
    info = json.loads(engine.docker("info", "-f", "{{json .}}").stdout)
    assert info["Driver"] == "overlay2"
    assert info["NCPU"] >= 1


def test_run_shows_output_and_exit_code(engine):
    """Streams are kept apart and the program's own code comes back."""
    result = engine.docker(
        "run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3", check=3
    )
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert engine.docker("ps", "-aq").stdout == ""


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["nope"], 127, 'exec: "nope": executable file not found in $PATH'),
        (["/nope"], 127, "no such file or directory"),
        (["/etc/passwd"], 126, "permission denied"),
    ],
)
def test_a_program_that_cannot_run(engine, command, code, words):
    """The CLI exits as shells do, and nothing of the attempt is left."""
    result = engine.docker("run", "--rm", "busybox", *command, check=code)
    assert words in result.stderr
    assert engine.docker("ps", "-aq").stdout == ""


def test_stdin_reaches_the_program_and_ends(engine):
    """A pipe into `run -i` and `exec -i` ends where the pipe ends."""
    assert engine.docker("run", "-i", "--rm", "busybox", "cat", text="piped\n").stdout == "piped\n"
    engine.docker("run", "-d", "--name", "idle", "busybox", "sleep", "1000")
    assert engine.docker("exec", "-i", "idle", "wc", "-c", text="12345").stdout.strip() == "5"


def test_terminal(engine):
    """`run -it` gives a terminal of the caller's size; the shell's code comes back."""
    child = pexpect.spawn(
        "docker",
        ["run", "-it", "--rm", "busybox", "sh"],
        env=engine.environment,
        dimensions=(33, 99),
        timeout=20,
        encoding="utf-8",
    )
    child.expect("# ")
    child.sendline("tty; stty size")
    child.expect("/dev/pts/0")
    child.expect("33 99")
    child.expect("# ")
    child.sendline("exit 4")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 4


def test_exec_terminal(engine):
    """`exec -it` gives one too."""
    engine.docker("run", "-d", "--name", "idle", "busybox", "sleep", "1000")
    child = pexpect.spawn(
        "docker",
        ["exec", "-it", "idle", "sh"],
        env=engine.environment,
        dimensions=(20, 70),
        timeout=20,
        encoding="utf-8",
    )
    child.expect("# ")
    child.sendline("stty size; exit 5")
    child.expect("20 70")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5


def test_exec_codes(engine):
    """Exec reports the program's code, and 127 with a reason when there is no such program."""
    engine.docker("run", "-d", "--name", "idle", "busybox", "sleep", "1000")
    engine.docker("exec", "idle", "sh", "-c", "exit 7", check=7)
    result = engine.docker("exec", "idle", "nope", check=127)
    assert "executable file not found" in result.stdout + result.stderr
    assert engine.docker("exec", "-u", "worker", "idle", "id", "-u").stdout.strip() == "1000"


def test_published_port(engine):
    """A published port is reachable by loopback; a second one on it is refused, leaving nothing."""
    port = free_port()
    engine.docker(
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        f"{port}:80",
        "busybox",
        "httpd",
        "-f",
        "-p",
        "80",
        "-h",
        "/data",
    )

    def page():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/seed", timeout=2).read()
        except urllib.error.URLError:
            return None

    assert wait_until(page, "the page is served") == b"from the image\n"
    assert f"0.0.0.0:{port}->80/tcp" in engine.docker("ps").stdout
    refused = engine.docker("run", "--rm", "-p", f"{port}:80", "busybox", "true", check=125)
    assert "port is already allocated" in refused.stderr
    assert engine.docker("ps", "-aq").stdout.count("\n") == 1


def test_network_reaches_out_and_not_in(engine):
    """The container has an address, a route and the host's resolvers."""
    text = engine.docker(
        "run", "--rm", "busybox", "sh", "-c", "ip -o a; ip r; cat /etc/hosts"
    ).stdout
    assert "eth0" in text
    assert "default via" in text
    gateway = text.split("default via ")[1].split()[0]
    engine.docker("run", "--rm", "busybox", "ping", "-c", "1", "-W", "5", gateway)
    assert (
        "eth0" not in engine.docker("run", "--rm", "--network", "none", "busybox", "ip", "a").stdout
    )


def test_logs(engine):
    """Logs have a tail, times and both streams, and following ends with the container."""
    script = "for i in 1 2 3; do echo line $i; done; echo bad >&2"
    engine.docker("run", "--name", "talk", "busybox", "sh", "-c", script)
    result = engine.docker("logs", "talk")
    assert result.stdout == "line 1\nline 2\nline 3\n"
    assert result.stderr == "bad\n"
    assert engine.docker("logs", "--tail", "1", "talk").stderr == "bad\n"
    stamped = engine.docker("logs", "-t", "talk").stdout.splitlines()[0]
    assert stamped.endswith("Z line 1")
    engine.docker("run", "-d", "--name", "slow", "busybox", "sh", "-c", "echo a; sleep 1; echo b")
    assert engine.docker("logs", "-f", "slow").stdout == "a\nb\n"


def test_stop_start_restart_and_remove(engine):
    """The life of a container, with the words of the CLI."""
    trap = "trap 'echo bye; exit 0' TERM; while true; do sleep 0.1; done"
    engine.docker("run", "-d", "--name", "life", "busybox", "sh", "-c", trap)
    assert "cannot remove container" in engine.docker("rm", "life", check=1).stderr
    engine.docker("stop", "life")
    assert engine.docker("inspect", "-f", "{{.State.ExitCode}}", "life").stdout == "0\n"
    assert engine.docker("logs", "life").stdout == "bye\n"
    engine.docker("start", "life")
    engine.docker("restart", "-t", "5", "life")
    engine.docker("pause", "life")
    assert "(Paused)" in engine.docker("ps").stdout
    engine.docker("unpause", "life")
    engine.docker("kill", "life")
    assert engine.docker("wait", "life").stdout == "137\n"
    engine.docker("rename", "life", "afterlife")
    engine.docker("rm", "afterlife")
    missing = engine.docker("start", "afterlife", check=1).stderr
    assert "No such container: afterlife" in missing


def test_limits_bite(engine):
    """Memory, processes and CPU are held to what was asked for."""
    engine.docker("run", "--name", "big", "-m", "16m", "busybox", "tail", "/dev/zero", check=137)
    state = json.loads(engine.docker("inspect", "big").stdout)[0]["State"]
    assert state["OOMKilled"] is True
    result = engine.docker(
        "run",
        "--rm",
        "--pids-limit",
        "5",
        "busybox",
        "sh",
        "-c",
        "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all",
        check=None,
    )
    assert "fork" in result.stderr
    row = json.loads(engine.docker("inspect", "big").stdout)[0]
    assert row["HostConfig"]["Memory"] == 16 * 1024 * 1024


def test_isolation(engine):
    """Capabilities, the filter, masked paths and read-only paths are those that Docker gives."""
    script = (
        "grep -E 'CapEff|CapInh|Seccomp:|NoNewPrivs' /proc/self/status; ls /proc/acpi | wc -l;"
        "echo 1 > /proc/sys/kernel/panic; mount -t tmpfs none /tmp; ls /proc/1/fd; hostname"
    )
    text = engine.docker("run", "--rm", "--hostname", "box", "busybox", "sh", "-c", script).stdout
    assert "CapEff:\t00000000a80425fb" in text
    assert "CapInh:\t0000000000000000" in text
    assert "Seccomp:\t2" in text
    assert text.endswith("0\n1\n2\nbox\n")
    kept = engine.docker(
        "run",
        "--rm",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "busybox",
        "grep",
        "-E",
        "CapBnd|NoNewPrivs",
        "/proc/self/status",
    ).stdout
    assert kept == "CapBnd:\t0000000000000000\nNoNewPrivs:\t1\n"


def test_devices_are_denied_by_default(engine):
    """A node can be made, as Docker allows, but opens only when the device was asked for."""
    script = (
        "mknod /tmp/disk b {0} && dd if=/tmp/disk of=/dev/null bs=1 count=1 2>&1; cat /dev/null"
    )
    path = next(name for name in ("/dev/loop0", "/dev/vda", "/dev/sda") if os.path.exists(name))
    found = os.stat(path)
    script = script.format(f"{os.major(found.st_rdev)} {os.minor(found.st_rdev)}")
    text = engine.docker("run", "--rm", "busybox", "sh", "-c", script).stdout
    assert "Operation not permitted" in text
    script = f"exec 3<{path} && echo ok; (exec 4>{path}) 2>&1"
    opened = engine.docker(
        "run", "--rm", "--device", f"{path}:{path}:r", "busybox", "sh", "-c", script, check=None
    ).stdout
    assert opened.startswith("ok\n")
    assert "Operation not permitted" in opened


def test_user_and_volumes(engine, tmp_path):
    """Users come from the image's files; volumes are filled from it; binds can be read-only."""
    text = engine.docker("run", "--rm", "-u", "worker", "busybox", "id").stdout
    assert "uid=1000(worker) gid=1000(worker)" in text
    assert "2000(extra)" in text
    unknown = engine.docker("run", "--rm", "-u", "nobody-here", "busybox", "id", check=None)
    assert "unable to find user nobody-here" in unknown.stderr
    assert engine.docker(
        "run", "--rm", "-v", "kept:/data", "busybox", "cat", "/data/seed"
    ).stdout == ("from the image\n")
    engine.docker("volume", "rm", "kept")
    (tmp_path / "file").write_text("host\n")
    mounted = engine.docker(
        "run",
        "--rm",
        "-v",
        f"{tmp_path}:/host:ro",
        "busybox",
        "sh",
        "-c",
        "cat /host/file; touch /host/new || echo refused",
    ).stdout
    assert mounted == "host\nrefused\n"
    assert not (tmp_path / "new").exists()


def test_pull_from_a_registry(engine, pushed):
    """A pull shows its layers, runs, and is up to date the second time."""
    text = engine.docker("pull", pushed).stdout
    assert "Pulling from team/busybox" in text
    assert f"Status: Downloaded newer image for {pushed}" in text
    assert "Image is up to date" in engine.docker("pull", pushed).stdout
    assert engine.docker("run", "--rm", pushed, "echo", "pulled").stdout == "pulled\n"
    engine.docker("tag", pushed, "mine:2")
    assert "mine" in engine.docker("images").stdout
    assert "Untagged: mine:2" in engine.docker("rmi", "mine:2").stdout
    engine.docker("rmi", pushed)


def test_what_a_registry_does_not_have(engine, registry):
    """The words say which image is missing, and why."""
    result = engine.docker("pull", f"{registry}/team/nothing:1", check=1)
    assert "not found" in result.stderr
    assert "invalid reference format" in engine.docker("pull", "UPPER/../x", check=1).stderr
    assert "No such image: gone:latest" in engine.docker("rmi", "gone", check=1).stderr


def test_bad_requests(engine):
    """Bad input is refused with a reason and changes nothing."""
    engine.docker("create", "--name", "taken", "busybox")
    conflict = engine.docker("create", "--name", "taken", "busybox", check=1).stderr
    assert 'The container name "/taken" is already in use' in conflict
    assert (
        "Minimum memory limit allowed is 6MB"
        in engine.docker("create", "-m", "1m", "busybox", check=1).stderr
    )
    assert engine.request("GET", "/v1.99/containers/json")[0] == 400
    assert engine.request("GET", "/nowhere") == (404, {"message": "page not found"})
    assert engine.request("POST", "/containers/create", [1])[0] == 400
    assert engine.docker("ps", "-aq").stdout.count("\n") == 1


def test_survives_a_killed_engine(engine):
    """Containers, logs and exit codes outlive a killed daemon; ports and exec go on."""
    port = free_port()
    engine.docker(
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        f"{port}:80",
        "busybox",
        "httpd",
        "-f",
        "-p",
        "80",
        "-h",
        "/data",
    )
    engine.docker(
        "run",
        "-d",
        "--name",
        "counter",
        "busybox",
        "sh",
        "-c",
        "i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done",
    )
    engine.docker("run", "-d", "--name", "short", "busybox", "sh", "-c", "sleep 1; exit 9")
    pid = int(engine.docker("inspect", "-f", "{{.State.Pid}}", "short").stdout)
    engine.kill()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/seed", timeout=5) as page:
        assert page.read() == b"from the image\n"
    wait_until(lambda: not _exists(pid), "the container ended while no daemon ran")
    engine.start()
    assert engine.docker("inspect", "-f", "{{.State.ExitCode}}", "short").stdout == "9\n"
    assert engine.docker("exec", "web", "echo", "alive").stdout == "alive\n"
    numbers = [int(line) for line in engine.docker("logs", "counter").stdout.split()]
    assert numbers == list(range(1, len(numbers) + 1))
    engine.docker("stop", "-t", "0", "counter")
    assert engine.docker("wait", "counter").stdout == "137\n"


def _exists(pid):
    try:
        with open(f"/proc/{pid}/stat"):
            return True
    except FileNotFoundError:
        return False


def test_restart_policy(engine):
    """A failing program is started again, as often as asked."""
    engine.docker("run", "-d", "--name", "again", "--restart", "on-failure:2", "busybox", "false")

    def settled():
        row = json.loads(engine.docker("inspect", "again").stdout)[0]
        return row["RestartCount"] == 2 and row["State"]["Status"] == "exited"

    wait_until(settled, "it was restarted twice")


def test_events(engine):
    """Events tell a container's life in the order it happened."""
    watch = subprocess.Popen(
        ["docker", "events", "--format", "{{.Action}}", "--filter", "container=told"],
        env=engine.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        engine.docker("events", "--since", "1s", "--until", "0s")
        engine.docker("run", "--rm", "--name", "told", "busybox", "true")
        seen = []
        for line in watch.stdout:
            seen.append(line.strip())
            if line.strip() == "destroy":
                break
        wanted = ["create", "attach", "start", "die", "destroy"]
        assert [action for action in seen if action in wanted] == wanted
    finally:
        watch.terminate()
        watch.wait()
        watch.stdout.close()


def test_a_client_that_hangs_up_is_no_error(engine, tmp_path):
    """wait, logs and events that are given up in the middle leave no word in the engine's log."""
    engine.docker("run", "-d", "--name", "left", "busybox", "sleep", "1000")
    paths = ("/containers/left/wait", "/containers/left/logs?follow=1&stdout=1", "/events")
    for path in paths:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(engine.settings.socket))
            method = "POST" if path.endswith("wait") else "GET"
            client.sendall(f"{method} {path} HTTP/1.1\r\nHost: engine\r\n\r\n".encode())
            assert client.recv(16).startswith(b"HTTP/1.1 200")
    engine.docker("rm", "-f", "left")
    assert "Traceback" not in engine.log.read_text()

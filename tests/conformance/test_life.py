"""A container's life by the docker CLI: attach, health, logs, filters, stats, policies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pexpect
import pytest
import websocket

from tests.support.engine import wait_until


def field(engine, name, form):
    """Return one field of inspect as JSON."""
    return json.loads(engine.docker("inspect", "-f", "{{json " + form + "}}", name).stdout)


def idle(engine, name, *options):
    """Run a container that does nothing."""
    engine.docker("run", "-d", "--name", name, *options, "busybox", "sleep", "1000")


def names(engine, *filters):
    """Return the names that `docker ps -a` shows under filters."""
    words = [word for item in filters for word in ("--filter", item)]
    return set(engine.docker("ps", "-a", *words, "--format", "{{.Names}}").stdout.split())


def events_of(engine, since):
    """Return (action, attributes) of every container event since a moment."""
    until = f"{time.time():.6f}"
    text = engine.docker(
        "events", "--since", since, "--until", until, "--filter", "type=container",
        "--format", "{{json .}}",
    ).stdout  # fmt: skip
    rows = [json.loads(line) for line in text.splitlines()]
    return [(row["Action"], row["Actor"]["Attributes"]) for row in rows]


def now():
    """Return this moment as the events filter takes it."""
    return f"{time.time():.6f}"


def test_start_attached(engine):
    """`start -ai` shows output and gives the code back."""
    engine.docker("create", "-i", "--name", "echoes", "busybox", "sh", "-c", "cat; exit 4")
    result = engine.docker("start", "-ai", "echoes", text="hello\n", check=4)
    assert result.stdout == "hello\n"


def test_detach_keys(engine):
    """Keys typed on the terminal leave the container running, on attach and on exec."""
    idle(engine, "term", "-it")
    engine.docker("rm", "-f", "term")
    engine.docker("run", "-dit", "--name", "term", "busybox", "sh")
    child = pexpect.spawn("docker", ["attach", "term"], env=engine.environment, timeout=20)
    child.send("echo a$((1+1))b\r")
    child.expect("a2b")
    child.send("\x10\x11")
    child.expect(pexpect.EOF)
    assert field(engine, "term", ".State.Running")
    words = ["attach", "--detach-keys", "ctrl-x,y", "term"]
    child = pexpect.spawn("docker", words, env=engine.environment, timeout=20)
    child.send("echo c$((1+2))d\r")
    child.expect("c3d")
    child.send("\x18y")
    child.expect(pexpect.EOF)
    assert field(engine, "term", ".State.Running")


def test_detach_keys_are_found_by_the_engine(engine):
    """A client that knows nothing of the keys is detached all the same, with an event."""
    engine.docker("run", "-dit", "--name", "term", "busybox", "cat")
    begun = now()
    request = (
        "POST /containers/term/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\n"
        "Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(engine.settings.socket))
        client.sendall(request.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 101 UPGRADED")
        client.sendall(b"ab\x10c")
        seen = b""
        while b"c" not in seen:
            seen += client.recv(4096)
        assert seen == b"ab^Pc"
        client.sendall(b"\x10\x11")
        while client.recv(4096):
            continue
    wait_until(lambda: "detach" in [action for action, _ in events_of(engine, begun)], "the event")
    assert field(engine, "term", ".State.Running")


def test_attach_by_websocket(engine):
    """The websocket form carries both ways, without frames around the output."""
    engine.docker("run", "-di", "--name", "box", "busybox", "cat")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(engine.settings.socket))
        url = "ws://localhost/containers/box/attach/ws?stream=1&stdin=1&stdout=1"
        channel = websocket.create_connection(url, socket=client, timeout=20)
        channel.send("there and back\n")
        assert channel.recv() == b"there and back\n"
        engine.docker("kill", "box")
        assert channel.recv() in (b"", "")
        channel.close()
    status, answer = engine.request("GET", "/containers/nobody/attach/ws")
    assert (status, answer["message"]) == (404, "No such container: nobody")


def test_healthy_and_not(engine):
    """The status follows the probe; the log has its output; events tell each change."""
    begun = now()
    words = ("--health-cmd", "cat /ok && echo fine", "--health-interval", "100ms",
             "--health-retries", "2", "--health-timeout", "5s")  # fmt: skip
    idle(engine, "well", *words)
    assert field(engine, "well", ".State.Health.Status") in ("starting", "unhealthy")
    wait_until(lambda: field(engine, "well", ".State.Health.Status") == "unhealthy", "it fails")
    assert names(engine, "health=unhealthy") == {"well"}
    engine.docker("exec", "well", "touch", "/ok")
    wait_until(lambda: field(engine, "well", ".State.Health.Status") == "healthy", "it is well")
    assert "(healthy)" in engine.docker("ps", "--format", "{{.Status}}").stdout
    log = field(engine, "well", ".State.Health.Log")
    assert log[-1]["ExitCode"] == 0
    assert log[-1]["Output"] == "fine\n"
    assert len(log) <= 5
    told = [action for action, _ in events_of(engine, begun) if action.startswith("health")]
    assert told == ["health_status: unhealthy", "health_status: healthy"]
    engine.docker("rm", "-f", "well")


def test_health_start_period_and_timeout(engine):
    """Failures in the start period do not count; a probe that hangs is ended."""
    words = ("--health-cmd", "exit 1", "--health-interval", "100ms", "--health-retries", "1",
             "--health-start-period", "1h", "--health-start-interval", "50ms")  # fmt: skip
    idle(engine, "young", *words)
    wait_until(lambda: len(field(engine, "young", ".State.Health.Log")) >= 3, "three probes")
    assert field(engine, "young", ".State.Health") | {"Log": []} == {
        "Status": "starting", "FailingStreak": 0, "Log": [],
    }  # fmt: skip
    words = ("--health-cmd", "sleep 777", "--health-interval", "50ms", "--health-timeout",
             "200ms", "--health-retries", "1")  # fmt: skip
    idle(engine, "hung", *words)
    wait_until(lambda: field(engine, "hung", ".State.Health.Status") == "unhealthy", "it fails")
    last = field(engine, "hung", ".State.Health.Log")[0]
    assert last["ExitCode"] == -1
    assert "Health check exceeded timeout" in last["Output"]
    idle(engine, "none", "--no-healthcheck")
    assert "Health" not in field(engine, "none", ".State")


def test_health_checks_go_on_after_a_restart_of_the_engine(engine):
    """The next daemon probes what it finds."""
    words = ("--health-cmd", "cat /ok", "--health-interval", "100ms", "--health-retries", "1")
    idle(engine, "well", *words)
    wait_until(lambda: field(engine, "well", ".State.Health.Status") == "unhealthy", "it fails")
    engine.kill()
    engine.start()
    engine.docker("exec", "well", "touch", "/ok")
    wait_until(lambda: field(engine, "well", ".State.Health.Status") == "healthy", "it is well")


def test_logs_rotate_compress_and_are_read_whole(engine):
    """Every line once, in order, across files that are compressed; following goes on."""
    options = ("--log-opt", "max-size=20k", "--log-opt", "max-file=50", "--log-opt",
               "compress=true")  # fmt: skip
    script = "for i in $(seq 1 3000); do echo line-$i; done; sleep 1000"
    engine.docker("run", "-d", "--name", "loud", *options, "busybox", "sh", "-c", script)
    path = field(engine, "loud", ".LogPath")
    wait_until(lambda: "line-3000\n" in engine.docker("logs", "loud").stdout, "all is written")
    wait_until(lambda: os.path.exists(f"{path}.3.gz"), "files are compressed")
    wanted = [f"line-{number}" for number in range(1, 3001)]
    assert engine.docker("logs", "loud").stdout.split() == wanted
    assert engine.docker("logs", "--tail", "700", "loud").stdout.split() == wanted[-700:]
    engine.docker("rm", "-f", "loud")
    engine.docker("run", "-d", "--name", "later", *options, "busybox", "sh", "-c",
                  "while [ ! -e /go ]; do sleep 0.05; done; " + script)  # fmt: skip
    with subprocess.Popen(
        ["docker", "logs", "-f", "later"], env=engine.environment, stdout=subprocess.PIPE, text=True
    ) as follower:
        engine.docker("exec", "later", "touch", "/go")
        lines = [follower.stdout.readline().strip() for _ in range(3000)]
        assert lines == wanted
        engine.docker("rm", "-f", "later")
        assert follower.wait(20) == 0


def test_log_options(engine):
    """Labels and variables stand beside lines; times select; partial lines come back whole."""
    words = ("--log-opt", "labels=team", "--log-opt", "env=STAGE", "-l", "team=sea", "-e",
             "STAGE=test")  # fmt: skip
    script = "echo first; sleep 0.2; printf 'no newline'; echo err >&2"
    engine.docker("run", "--name", "told", *words, "busybox", "sh", "-c", script)
    assert "STAGE=test,team=sea first" in engine.docker("logs", "--details", "told").stdout
    stamped = engine.docker("logs", "-t", "told").stdout.splitlines()
    first = stamped[0].split()[0]
    assert engine.docker("logs", "--since", first, "told").stdout == "first\nno newline"
    later = stamped[1].split()[0]
    assert engine.docker("logs", "--since", later, "told").stdout == "no newline"
    assert engine.docker("logs", "--until", first, "told").stdout == "first\n"
    assert engine.docker("logs", "told").stderr == "err\n"
    long = "head -c 40000 /dev/zero | tr '\\0' x; echo"
    engine.docker("run", "--name", "long", "busybox", "sh", "-c", long)
    assert engine.docker("logs", "long").stdout == "x" * 40000 + "\n"


@pytest.mark.parametrize("driver", ["local", "json-file", "none"])
def test_log_drivers(engine, driver):
    """Two can be read; with none nothing is kept and that is said."""
    engine.docker("run", "--name", "box", "--log-driver", driver, "busybox", "echo", "words")
    if driver == "none":
        refused = engine.docker("logs", "box", check=1).stderr
        assert "configured logging driver does not support reading" in refused
        assert field(engine, "box", ".LogPath") == ""
    else:
        assert engine.docker("logs", "box").stdout == "words\n"


def test_stats_and_top(engine):
    """Figures of one and of all; processes with ps's own options."""
    engine.docker("run", "-d", "--name", "busy", "busybox", "sh", "-c", "while :; do :; done")
    row = json.loads(engine.docker("stats", "--no-stream", "--format", "{{json .}}", "busy").stdout)
    assert float(row["CPUPerc"].rstrip("%")) > 20
    assert row["PIDs"] == "1"
    status, rows = engine.request("GET", "/hythe/stats")
    assert (status, [item["name"] for item in rows]) == (200, ["/busy"])
    assert rows[0]["memory_stats"]["usage"] > 0
    titles = engine.docker("top", "busy").stdout.splitlines()[0].split()
    assert titles == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    custom = engine.docker("top", "busy", "-o", "pid,args").stdout.splitlines()
    assert custom[0].split() == ["PID", "COMMAND"]
    assert "while" in custom[1]
    assert "PID" in engine.docker("top", "busy", "-o", "args", check=1).stderr
    assert "ps:" in engine.docker("top", "busy", "--wings", check=1).stderr


def test_ps_filters(engine):
    """Every filter finds what it should and nothing else."""
    idle(engine, "first", "-l", "team=sea", "-p", "127.0.0.1::80", "--expose", "9000")
    idle(engine, "second", "-l", "team=land", "-v", "/data", "--network", "none")
    engine.docker("run", "--name", "third", "busybox", "sh", "-c", "exit 3", check=3)
    engine.docker("create", "--name", "fourth", "busybox")
    engine.docker("pause", "second")
    public = engine.docker("port", "first", "80").stdout.strip().rpartition(":")[2]
    cases = {
        "name=^/?fi": {"first"},
        "label=team": {"first", "second"},
        "label=team=sea": {"first"},
        "status=running": {"first"},
        "status=paused": {"second"},
        "status=created": {"fourth"},
        "exited=3": {"third"},
        "ancestor=busybox": {"first", "second", "third", "fourth"},
        "before=second": {"first"},
        "since=second": {"third", "fourth"},
        "volume=/data": {"second"},
        "network=none": {"second"},
        f"publish={public}": {"first"},
        "expose=8999-9001/tcp": {"first"},
        "health=none": {"first", "second", "third", "fourth"},
        "is-task=false": {"first", "second", "third", "fourth"},
        f"id={field(engine, 'third', '.Id')[:12]}": {"third"},
    }
    assert {case: names(engine, case) for case in cases} == cases
    assert names(engine, "label=team", "status=running") == {"first"}
    assert engine.docker("ps", "-n", "1", "--format", "{{.Names}}").stdout.split() == ["fourth"]
    assert engine.docker("ps", "-s", "--format", "{{.Size}}").stdout.count("virtual") == 2
    wrong = engine.docker("ps", "--filter", "colour=red", check=1).stderr
    assert "invalid filter 'colour'" in wrong
    engine.docker("unpause", "second")


def test_events_of_a_life(engine):
    """Each step has its event, in order, with Docker's names and attributes."""
    begun = now()
    idle(engine, "box", "-l", "k=v")
    engine.docker("pause", "box")
    engine.docker("unpause", "box")
    engine.docker("rename", "box", "crate")
    engine.docker("exec", "crate", "true")
    engine.docker("restart", "-t", "0", "crate")
    engine.docker("kill", "crate")
    engine.docker("rm", "crate")
    found = events_of(engine, begun)
    actions = [action for action, _ in found]
    assert actions == [
        "create", "start", "pause", "unpause", "rename", "exec_create: true", "exec_start: true",
        "exec_die", "kill", "kill", "die", "stop", "start", "restart", "kill", "die", "destroy",
    ]  # fmt: skip
    assert all(attributes["k"] == "v" for _, attributes in found)
    assert dict(found)["rename"]["oldName"] == "/box"
    assert dict(found)["die"]["exitCode"] == "137"


def test_prune(engine):
    """What does not run goes, under filters; the sum of what was freed is told."""
    idle(engine, "stays")
    engine.docker("run", "--name", "wrote", "busybox", "sh", "-c", "head -c 100000 /dev/zero > /f")
    engine.docker("create", "--name", "kept", "-l", "keep=1", "busybox")
    text = engine.docker("container", "prune", "-f", "--filter", "label!=keep").stdout
    assert "100kB" in text
    assert names(engine) == {"stays", "kept"}
    engine.docker("container", "prune", "-f", "--filter", "until=1h")
    assert names(engine) == {"stays", "kept"}
    engine.docker("container", "prune", "-f")
    assert names(engine) == {"stays"}


def test_kill_signals(engine):
    """By name, by number, and unknown ones refused."""
    trap = "trap 'echo one' USR1; trap 'echo rt' 40; echo up; while :; do sleep 0.05; done"
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", trap)
    wait_until(lambda: "up" in engine.docker("logs", "box").stdout, "the traps are set")
    engine.docker("kill", "-s", "SIGUSR1", "box")
    wait_until(lambda: "one" in engine.docker("logs", "box").stdout, "the first came")
    engine.docker("kill", "-s", "40", "box")
    wait_until(lambda: "rt" in engine.docker("logs", "box").stdout, "the second came")
    assert "nvalid signal" in engine.docker("kill", "-s", "NOPE", "box", check=1).stderr
    engine.docker("pause", "box")
    engine.docker("kill", "box")
    assert field(engine, "box", ".State.ExitCode") == 128 + signal.SIGKILL


def test_out_of_memory_is_told(engine):
    """The state says it, the code is 137, and there is an event."""
    begun = now()
    eat = "tail /dev/zero"
    engine.docker("run", "--name", "hungry", "-m", "16m", "busybox", *eat.split(), check=137)
    assert field(engine, "hungry", ".State.OOMKilled") is True
    assert "oom" in [action for action, _ in events_of(engine, begun)]


def test_restart_policies(engine):
    """Counts are kept, the number of attempts is held, a stop by hand is respected."""
    words = ("--restart", "on-failure:2")
    engine.docker("run", "-d", "--name", "fails", *words, "busybox", "sh", "-c", "exit 5")
    wait_until(
        lambda: (
            field(engine, "fails", ".RestartCount") == 2
            and field(engine, "fails", ".State.Status") == "exited"
        ),
        "it has given up",
    )
    assert field(engine, "fails", ".State.ExitCode") == 5
    idle(engine, "always", "--restart", "always")
    idle(engine, "unless", "--restart", "unless-stopped")
    engine.docker("stop", "-t", "0", "always", "unless")
    idle(engine, "lives", "--restart", "unless-stopped")
    engine.stop()
    engine.start()
    wait_until(lambda: field(engine, "always", ".State.Running"), "always begins anew")
    assert field(engine, "unless", ".State.Status") == "exited"
    assert field(engine, "lives", ".State.Running")


def test_wait_conditions(engine):
    """Until it does not run, until the next end, until it is gone."""
    idle(engine, "box")
    status, answer = engine.request("POST", "/containers/box/wait?condition=perhaps")
    assert (status, "invalid condition" in answer["message"]) == (400, True)
    conditions = ("not-running", "next-exit", "removed")
    with ThreadPoolExecutor(3) as pool:
        path = "/containers/box/wait?condition="
        waits = [pool.submit(engine.request, "POST", path + word) for word in conditions]
        wait_until(lambda: _connections(engine) >= 3, "all three wait")
        engine.docker("stop", "-t", "0", "box")
        seen = [waits[0].result(20), waits[1].result(20)]
        assert not waits[2].done()
        engine.docker("rm", "box")
        seen.append(waits[2].result(20))
    assert seen == [(200, {"StatusCode": 137})] * 3


def _connections(engine):
    """Return how many clients are connected to the engine's socket."""
    with open("/proc/net/unix") as lines:
        rows = [
            line.split() for line in lines if line.rstrip().endswith(str(engine.settings.socket))
        ]
    return sum(row[3] == "00000000" and row[5] == "03" for row in rows)


def test_many_execs_at_once(engine):
    """Each gets its own output and code."""
    idle(engine, "box")
    commands = [
        subprocess.Popen(
            ["docker", "exec", "box", "sh", "-c", f"sleep 0.2; echo n{number}; exit {number}"],
            env=engine.environment, stdout=subprocess.PIPE, text=True,
        )
        for number in range(20)
    ]  # fmt: skip
    found = [(command.communicate(timeout=30)[0], command.returncode) for command in commands]
    assert found == [(f"n{number}\n", number) for number in range(20)]
    user = ("exec", "-u", "7:8", "-w", "/tmp", "-e", "A=b", "box")
    show = engine.docker(*user, "sh", "-c", "id -u; id -g; pwd; echo $A").stdout.split()
    assert show == ["7", "8", "/tmp", "b"]
    full = engine.docker("exec", "--privileged", "box", "grep", "CapEff", "/proc/self/status")
    usual = engine.docker("exec", "box", "grep", "CapEff", "/proc/self/status")
    assert full.stdout > usual.stdout
    engine.docker("exec", "-d", "box", "touch", "/done")
    wait_until(lambda: engine.docker("exec", "box", "ls", "/").stdout.count("done"), "it ran")


def test_older_clients(engine):
    """The shapes that old API versions read, and what they may not ask."""
    idle(engine, "box", "--mac-address", "02:42:0a:0b:0c:0d")
    status, old = engine.request("GET", "/v1.24/containers/box/json")
    assert (status, old["Config"]["MacAddress"]) == (200, "02:42:0a:0b:0c:0d")
    assert old["NetworkSettings"]["Networks"]["bridge"]["Aliases"] == [old["Id"][:12]]
    body = {"Image": "busybox", "Cmd": ["true"]}
    status, made = engine.request("POST", "/v1.39/containers/create", body)
    assert status == 201
    host = engine.request("GET", f"/containers/{made['Id']}/json")[1]["HostConfig"]
    assert (host["IpcMode"], host["CgroupnsMode"]) == ("shareable", "host")
    mount = {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {"Subpath": "x"}}
    body["HostConfig"] = {"Mounts": [mount]}
    status, answer = engine.request("POST", "/v1.44/containers/create", body)
    assert (status, "needs API version 1.45" in answer["message"]) == (400, True)
    mount = {"Type": "bind", "Source": "/tmp", "Target": "/t", "ReadOnly": True}
    body["HostConfig"] = {"Mounts": [mount], "Annotations": {"a": "b"}, "AutoRemove": True}
    status, made = engine.request("POST", "/v1.24/containers/create", body)
    assert status == 201
    host = engine.request("GET", f"/containers/{made['Id']}/json")[1]["HostConfig"]
    assert host["Mounts"][0]["BindOptions"] == {"ReadOnlyNonRecursive": True}
    assert (host["AutoRemove"], host.get("Annotations")) == (False, None)
    body["HostConfig"] = {"Mounts": [{"Type": "image", "Source": "busybox", "Target": "/i"}]}
    status, answer = engine.request("POST", "/v1.47/containers/create", body)
    assert (status, "need API version 1.48" in answer["message"]) == (400, True)
    assert engine.request("GET", "/v1.23/_ping")[0] == 400
    assert engine.request("GET", "/v1.99/_ping")[0] == 400


def test_a_concurrent_start_and_stop_end_in_order(engine):
    """Verbs on one container wait for each other; on many they run side by side."""
    engine.docker("create", "--name", "box", "busybox", "sleep", "1000")
    words = [["start", "box"], ["stop", "-t", "0", "box"], ["restart", "-t", "0", "box"]] * 6
    runs = [
        subprocess.Popen(["docker", *word], env=engine.environment, stderr=subprocess.PIPE)
        for word in words
    ]
    for process in runs:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    engine.docker("start", "box")
    assert field(engine, "box", ".State.Running")

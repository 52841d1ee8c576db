"""What is checked inside the guest: limits, devices, freezing and killing on pure cgroup v2."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import traceback
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from engine.kernel import cgroups, quota
from tests.support.engine import EngineUnderTest, wait_until

CHECKS: list[Callable[[EngineUnderTest], None]] = []
IMAGE = Path("/app/busybox.tar")


def check(function: Callable[[EngineUnderTest], None]) -> Callable[[EngineUnderTest], None]:
    """Add a check to the list."""
    CHECKS.append(function)
    return function


def create(engine: EngineUnderTest, *command: str, **host: Any) -> str:
    """Create a container without a network and return its ID."""
    body = {"Image": "busybox", "Cmd": list(command), "HostConfig": {"NetworkMode": "none", **host}}
    status, answer = engine.request("POST", "/containers/create", body)
    assert status == 201, answer
    return str(answer["Id"])


def start(engine: EngineUnderTest, *command: str, **host: Any) -> str:
    """Create and start a container and return its ID."""
    box = create(engine, *command, **host)
    status, answer = engine.request("POST", f"/containers/{box}/start")
    assert status == 204, answer
    return box


def ended(engine: EngineUnderTest, box: str) -> dict[str, Any]:
    """Wait for a container's end and return its state."""
    engine.request("POST", f"/containers/{box}/wait")
    state: dict[str, Any] = engine.request("GET", f"/containers/{box}/json")[1]["State"]
    return state


def output(engine: EngineUnderTest, *command: str, **host: Any) -> str:
    """Return what a container without a terminal prints, its frames taken off."""
    box = start(engine, *command, **host)
    ended(engine, box)
    connection = HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(engine.settings.socket))
    connection.request("GET", f"/containers/{box}/logs?stdout=1&stderr=1")
    data, text = connection.getresponse().read(), b""
    connection.close()
    while data:
        length = int.from_bytes(data[4:8], "big")
        text, data = text + data[8 : 8 + length], data[8 + length :]
    return text.decode()


def value(engine: EngineUnderTest, box: str, file: str) -> str:
    """Return the text of a container's control file."""
    return cgroups.read(f"/sys/fs/cgroup/{engine.settings.cgroup_parent}/{box}/{file}").strip()


@check
def the_host_is_pure_v2(engine: EngineUnderTest) -> None:
    """The driver is that of v2, and the engine says so."""
    assert not cgroups.hierarchies().v1
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= cgroups.hierarchies().controllers
    info = engine.request("GET", "/info")[1]
    assert info["CgroupVersion"] == "2", info["CgroupVersion"]


@check
def limits_are_written(engine: EngineUnderTest) -> None:
    """Docker's numbers in the words of v2."""
    box = start(
        engine, "sleep", "1000", Memory=64 << 20, MemorySwap=96 << 20, MemoryReservation=32 << 20,
        NanoCpus=500_000_000, CpuShares=512, CpusetCpus="0", PidsLimit=33,
    )  # fmt: skip
    wanted = {
        "memory.max": str(64 << 20),
        "memory.swap.max": str(32 << 20),
        "memory.low": str(32 << 20),
        "cpu.max": "50000 100000",
        "cpu.weight": "20",
        "cpuset.cpus": "0",
        "pids.max": "33",
    }
    found = {name: value(engine, box, name) for name in wanted}
    assert found == wanted, found


@check
def limits_change_while_it_runs(engine: EngineUnderTest) -> None:
    """Update writes the same files."""
    box = start(engine, "sleep", "1000", Memory=64 << 20)
    body = {"Memory": 32 << 20, "MemorySwap": 48 << 20, "PidsLimit": 5, "CpuShares": 1024}
    status, answer = engine.request("POST", f"/containers/{box}/update", body)
    assert status == 200, answer
    found = [value(engine, box, name) for name in ("memory.max", "memory.swap.max", "pids.max")]
    assert found == [str(32 << 20), str(16 << 20), "5"], found


@check
def memory_bites(engine: EngineUnderTest) -> None:
    """Who takes more is killed, and that is told."""
    state = ended(engine, start(engine, "tail", "/dev/zero", Memory=16 << 20))
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True), state


@check
def processes_are_counted(engine: EngineUnderTest) -> None:
    """A fork beyond the limit fails."""
    many = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait"
    assert "can't fork" in output(engine, "sh", "-c", many, PidsLimit=4)


@check
def devices_are_denied(engine: EngineUnderTest) -> None:
    """The BPF program lets through what it should and nothing else."""
    read = "mknod /tmp/d c 1 11; (exec 3</tmp/d) 2>&1 && echo open; head -c1 /dev/zero | wc -c"
    denied = output(engine, "sh", "-c", read)
    assert "not permitted" in denied, denied
    assert denied.strip().endswith("1"), denied
    words = {"DeviceCgroupRules": ["c 1:11 rwm"], "CapAdd": ["SYSLOG"]}
    assert "open" in output(engine, "sh", "-c", read, **words)
    assert "open" in output(engine, "sh", "-c", read, Privileged=True)


@check
def freezing_holds(engine: EngineUnderTest) -> None:
    """Pause writes cgroup.freeze and the processes stand still."""
    box = start(engine, "sh", "-c", "while :; do :; done")
    assert engine.request("POST", f"/containers/{box}/pause")[0] == 204
    assert "frozen 1" in value(engine, box, "cgroup.events")
    before = value(engine, box, "cpu.stat").split()[1]
    assert value(engine, box, "cpu.stat").split()[1] == before
    assert engine.request("POST", f"/containers/{box}/unpause")[0] == 204
    wait_until(lambda: value(engine, box, "cpu.stat").split()[1] != before, "it goes on")


@check
def everything_dies_together(engine: EngineUnderTest) -> None:
    """A child that left its session is killed with its container."""
    box = start(engine, "sh", "-c", "setsid sleep 777 & sleep 1000")
    group = Path(f"/sys/fs/cgroup/{engine.settings.cgroup_parent}/{box}")
    wait_until(lambda: len((group / "cgroup.procs").read_text().split()) == 2, "both have begun")
    engine.request("POST", f"/containers/{box}/kill")
    wait_until(lambda: not group.exists(), "the group is gone")


@check
def figures_are_right(engine: EngineUnderTest) -> None:
    """Memory, limit, processes and CPU time."""
    box = start(engine, "sh", "-c", "while :; do :; done", Memory=64 << 20)
    row = engine.request("GET", f"/containers/{box}/stats?stream=0")[1]
    assert row["memory_stats"]["limit"] == 64 << 20, row["memory_stats"]
    assert row["memory_stats"]["usage"] > 0
    assert row["pids_stats"]["current"] == 1, row["pids_stats"]
    spent = row["cpu_stats"]["cpu_usage"]["total_usage"]
    assert spent > row["precpu_stats"]["cpu_usage"]["total_usage"] > 0, row["cpu_stats"]


@check
def apparmor_confines(engine: EngineUnderTest) -> None:
    """By the default profile, by none and by one that is not there; an exec is confined alike."""
    assert "name=apparmor" in engine.request("GET", "/info")[1]["SecurityOptions"]
    show = "cat /proc/self/attr/current; mount -t tmpfs none /tmp && echo mounted"
    able = {"CapAdd": ["SYS_ADMIN"]}
    text = output(engine, "sh", "-c", show, **able)
    assert "hythe-default (enforce)" in text, text
    assert "mounted" not in text, text
    assert "ermission denied" in text, text
    for words in ({**able, "SecurityOpt": ["apparmor=unconfined"]}, {"Privileged": True}):
        text = output(engine, "sh", "-c", show, **words)
        assert text.split() == ["unconfined", "mounted"], text
    box = start(engine, "sleep", "1000", SecurityOpt=["no-new-privileges"])
    pid = engine.request("GET", f"/containers/{box}/json")[1]["State"]["Pid"]
    profile = Path(f"/proc/{pid}/attr/current").read_text().strip()
    assert profile == "hythe-default (enforce)", profile
    assert engine.request("GET", f"/containers/{box}/json")[1]["AppArmorProfile"] == "hythe-default"
    assert engine.request("POST", f"/containers/{box}/stop?t=1")[0] == 204
    missing = create(engine, "true", SecurityOpt=["apparmor=nobody-wrote-this"])
    status, answer = engine.request("POST", f"/containers/{missing}/start")
    assert status >= 400, answer
    assert "apparmor failed to apply profile nobody-wrote-this" in answer["message"], answer


@check
def a_volume_has_a_size(engine: EngineUnderTest) -> None:
    """On a filesystem with project quotas a volume holds no more than it may."""
    status, answer = engine.request(
        "POST", "/volumes/create", {"Name": "small", "DriverOpts": {"size": "1m"}}
    )
    assert (status, "no quota support" in answer["message"]) == (501, True), answer
    disk, place = Path("/tmp/disk"), Path("/tmp/place")
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    make = ["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", str(disk)]
    subprocess.run(make, check=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop,prjquota", str(disk), str(place)], check=True)
    (place / "volume").mkdir()
    quota.limit(str(place / "volume"), "1m")
    (place / "volume").chmod(0o777)
    # Whoever has CAP_SYS_RESOURCE may take more, which no container has by default.
    count = "for n in volume/fits volume/more; do head -c {} /dev/zero > $n || echo $n; done"
    done = subprocess.run(
        ["sh", "-c", count.format(700 << 10)], cwd=place, user=1000, capture_output=True, check=True
    )
    assert done.stdout.split() == [b"volume/more"], done
    assert (place / "volume" / "fits").stat().st_size == 700 << 10


@check
def a_container_sees_its_own_root(engine: EngineUnderTest) -> None:
    """Its group is the top of the tree, and it may not write there."""
    show = "cat /proc/self/cgroup; ls /sys/fs/cgroup/pids.max; mkdir /sys/fs/cgroup/x || echo no"
    text = output(engine, "sh", "-c", show)
    assert text.startswith("0::/\n"), text
    assert "no" in text.split(), text


@check
def a_killed_engine_finds_them(engine: EngineUnderTest) -> None:
    """Containers go on, and are stopped by the next engine."""
    box = start(engine, "sleep", "1000")
    engine.kill()
    engine.start()
    state = engine.request("GET", f"/containers/{box}/json")[1]["State"]
    assert state["Status"] == "running", state
    assert engine.request("POST", f"/containers/{box}/stop?t=0")[0] == 204


@check
def a_killed_supervisor_is_replaced(engine: EngineUnderTest) -> None:
    """The group of the dead is not used again."""
    box = start(engine, "sleep", "1000", RestartPolicy={"Name": "always"})
    (supervisor,) = engine.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: engine.supervisors() not in ([], [supervisor]), "it is started again")
    wait_until(
        lambda: engine.request("GET", f"/containers/{box}/json")[1]["State"]["Running"], "it runs"
    )


def load(engine: EngineUnderTest) -> None:
    """Load the image."""
    connection = HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(engine.settings.socket))
    connection.request("POST", "/images/load", IMAGE.read_bytes())
    answer = connection.getresponse().read()
    connection.close()
    assert b"Loaded image" in answer, answer


def main() -> None:
    """Run every check and say how it went, a line each."""
    engine = EngineUnderTest(Path("/data"))
    engine.start()
    load(engine)
    for function in CHECKS:
        try:
            function(engine)
            engine.remove_containers()
            wait_until(lambda: not engine.leftovers(), f"nothing is left: {engine.leftovers()}")
        except Exception:  # noqa: BLE001 - one check that fails must not hide the others
            print(f"FAIL {function.__name__}: {json.dumps(traceback.format_exc())}", flush=True)
            engine.remove_containers()
        else:
            print(f"ok {function.__name__}", flush=True)
    print(engine.log.read_text()[-1500:], flush=True)
    engine.stop()
    subprocess.run(["sync"], check=True)
    print(f"done {len(CHECKS)}", flush=True)


if __name__ == "__main__":
    main()

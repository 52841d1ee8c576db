"""`./hythe bench`: each figure beside a peer's, measured in the same run.

Shape: a row is {"name", "ours_ms", "peer", "peer_ms", "ratio", "runs"}, medians; peer_ms is null
       where the peer could not be had. The rows are written to bench.json below HYTHE_DATA too.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from engine.config import Settings
from engine.containers.options import DEFAULT_CAPABILITIES, MASKED_PATHS, READONLY_PATHS
from engine.kernel import cgroups
from engine.kernel.mount import Mount
from engine.runtime.runtime import Runtime
from engine.supervisor.spec import ContainerSpec, InterfaceSpec, ProcessSpec
from tests.support.engine import EngineUnderTest, request, wait_until
from tests.support.images import archive, busybox

RUNS = 20


def median_ms(work: Callable[[], object]) -> float:
    """Return the median of RUNS runs, after one that warms up."""
    work()
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        work()
        times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times)


def row(name: str, ours: float, peer: str, theirs: float | None) -> dict[str, object]:
    """Return one row."""
    ratio = round(ours / theirs, 3) if theirs else None
    return {
        "name": name,
        "ours_ms": round(ours, 2),
        "peer": peer,
        "peer_ms": round(theirs, 2) if theirs else None,
        "ratio": ratio,
        "runs": RUNS,
    }


def runc(directory: Path) -> float | None:
    """Return what `runc run` of the same program takes, without a network."""
    if not shutil.which("runc"):
        return None
    root = directory / "rootfs"
    root.mkdir()
    for layer in busybox().layers:
        with tarfile.open(fileobj=BytesIO(layer)) as tar:
            tar.extractall(root)
    subprocess.run(["runc", "spec"], cwd=directory, check=True)
    config = json.loads((directory / "config.json").read_text())
    config["process"] |= {"args": ["true"], "terminal": False, "env": ["PATH=/bin"]}
    (directory / "config.json").write_text(json.dumps(config))
    name = f"hythe-bench-{os.getpid()}"

    def run() -> None:
        subprocess.run(["runc", "run", name], cwd=directory, check=True, stdin=subprocess.DEVNULL)

    return median_ms(run)


def runtime_alone(directory: Path) -> float:
    """Return what the runtime takes for the same program, with a veth on a bridge and an overlay.

    The runc of the other column makes no network and mounts nothing.
    """
    bridge = f"hbr{os.getpid()}"
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "set", bridge, "up"], check=True)
    try:
        return asyncio.run(_runtime_alone(directory, bridge))
    finally:
        subprocess.run(["ip", "link", "delete", bridge], check=True)
        cgroups.remove_parent(Settings.for_data(directory).cgroup_parent)


async def _runtime_alone(directory: Path, bridge: str) -> float:
    settings = Settings.for_data(directory)
    runtime = Runtime(settings, [DEFAULT_CAPABILITIES])
    directory.mkdir()
    lower = directory / "lower"
    for layer in busybox().layers:
        with tarfile.open(fileobj=BytesIO(layer)) as tar:
            tar.extractall(lower)
    settings.run.mkdir()
    await runtime.open()

    def spec(number: int) -> ContainerSpec:
        name, place = f"{number:064x}", directory / str(number)
        for part in ("fs", "work"):
            (place / part).mkdir(parents=True)
        data = (f"lowerdir={lower}", f"upperdir={place}/fs", f"workdir={place}/work")
        veth = InterfaceSpec(
            name="eth0",
            host_name=f"hb{os.getpid()}{number}",
            parent=bridge,
            mac="02:42:0a:e7:4e:02",
            addresses=("10.231.78.2/24",),
            gateway="10.231.78.1",
        )
        return ContainerSpec(
            id=name,
            cgroup=runtime.cgroup_of(name, ""),
            hostname="bench",
            domainname="",
            process=ProcessSpec(("true",), ("PATH=/bin",), capabilities=DEFAULT_CAPABILITIES),
            rootfs=(Mount("overlay", "overlay", "", data),),
            log_path=str(place / "log"),
            interfaces=(veth,),
            masked_paths=MASKED_PATHS,
            readonly_paths=READONLY_PATHS,
        )

    specs = [spec(number) for number in range(RUNS + 1)]
    times = []
    for one in specs:
        begin = time.perf_counter()
        running = await runtime.start(one)
        await running.wait()
        await runtime.forget(one.id)
        times.append((time.perf_counter() - begin) * 1000)
    await runtime.close()
    groups = [cgroups.Cgroup(one.cgroup) for one in specs]
    wait_until(lambda: not any(group.processes() for group in groups), "all have ended")
    ports = Path(f"/sys/class/net/{bridge}/brif")
    wait_until(lambda: not list(ports.iterdir()), "interfaces are gone")
    return statistics.median(times[1:])


@contextmanager
def dockerd(directory: Path) -> Iterator[dict[str, str] | None]:
    """Yield the environment of a docker client of a real dockerd, None where there is none.

    It has its own data, sockets and bridge, and leaves the machine's firewall alone.
    """
    if not shutil.which("dockerd"):
        yield None
        return
    bridge, socket = f"hb{os.getpid()}", directory / "docker.sock"
    ip = ("ip", "link")
    subprocess.run([*ip, "add", bridge, "type", "bridge"], check=True)
    subprocess.run(["ip", "addr", "add", "10.231.77.1/24", "dev", bridge], check=True)
    command = ["dockerd", "--host", f"unix://{socket}", "--bridge", bridge]
    command += ["--data-root", str(directory / "data"), "--exec-root", str(directory / "run")]
    command += ["--pidfile", str(directory / "pid"), "--iptables=false", "--ip6tables=false"]
    client = {**os.environ, "DOCKER_HOST": f"unix://{socket}"}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        ask = ["docker", "version"]
        wait_until(
            lambda: (
                process.poll() is not None
                or subprocess.run(ask, env=client, capture_output=True, check=False).returncode == 0
            ),
            "dockerd answers",
            60,
        )
        if process.poll() is not None:
            print((directory / "log").read_text()[-2000:], file=sys.stderr)
            yield None
        else:
            yield client
    finally:
        process.terminate()
        process.wait(60)
        subprocess.run([*ip, "delete", bridge], check=True)


def docker_run(client: dict[str, str], mode: str) -> float:
    """Return what `docker run --rm busybox true` takes."""
    command = ["docker", "run", "--rm", "--network", mode, "busybox", "true"]
    return median_ms(lambda: subprocess.run(command, env=client, check=True, capture_output=True))


def start_to_exit(engine: EngineUnderTest) -> float:
    """Return what start and wait take for containers that were created before."""
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
    made = [engine.request("POST", "/containers/create", body)[1]["Id"] for _ in range(RUNS + 1)]
    waiting = iter(made)

    def run() -> None:
        one = next(waiting)
        status, answer = engine.request("POST", f"/containers/{one}/start")
        assert status == 204, answer
        engine.request("POST", f"/containers/{one}/wait")

    result = median_ms(run)
    for one in made:
        engine.request("DELETE", f"/containers/{one}")
    return result


def api_cycle(engine: EngineUnderTest, mode: str) -> float:
    """Return what create, start, wait and remove take through the API."""
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": mode}}

    def run() -> None:
        _, made = engine.request("POST", "/containers/create", body)
        status, answer = engine.request("POST", f"/containers/{made['Id']}/start")
        assert status == 204, answer
        engine.request("POST", f"/containers/{made['Id']}/wait")
        engine.request("DELETE", f"/containers/{made['Id']}?force=1")

    return median_ms(run)


class Machine:
    """An engine of either kind, by its socket."""

    def __init__(self, socket: Path, pids: Callable[[], list[int]]) -> None:
        self.socket = socket
        self.pids = pids
        self.client = {**os.environ, "DOCKER_HOST": f"unix://{socket}"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's body; anything but success is a fault."""
        status, answer = request(self.socket, method, path, body)
        assert status < 300, (path, answer)
        return answer

    def start(self, *command: str, mode: str = "bridge") -> str:
        """Create and start a container."""
        body = {"Image": "busybox", "Cmd": command, "HostConfig": {"NetworkMode": mode}}
        box: str = self.ask("POST", "/containers/create", body)["Id"]
        self.ask("POST", f"/containers/{box}/start")
        return box

    def remove(self, boxes: list[str]) -> None:
        """Remove containers, running or not."""
        for box in boxes:
            self.ask("DELETE", f"/containers/{box}?force=1")

    def memory_mb(self) -> float:
        """Return the proportional memory of all its processes, without those of containers."""
        return sum(map(pss_kb, self.pids())) / 1024


def pss_kb(pid: int) -> int:
    """Return a process's proportional set size, 0 for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text.split("\nPss:")[1].split()[0])


def descendants(root: int) -> list[int]:
    """Return a process and all that it started, containers' own processes left out."""
    found = [root]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            children = [int(word) for word in task.read_text().split()]
            found += [pid for pid in children if Path(f"/proc/{pid}/exe").exists()]
    return [pid for pid in found if "sleep" not in Path(f"/proc/{pid}/comm").read_text()]


def mentioning(path: Path) -> list[int]:
    """Return the processes whose command line names a path, such as dockerd's shims."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(path).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


Results = dict[str, float]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return (milliseconds, result) of one run."""
    begin = time.perf_counter()
    result = work()
    return (time.perf_counter() - begin) * 1000, result


def crowd(machine: Machine) -> Results:
    """Return what 100 containers cost to start, list, keep and remove."""
    results = {"create and start by API (bridge)": 0.0}
    idle = machine.memory_mb()
    began = []

    def start_all() -> list[str]:
        boxes = []
        for _ in range(100):
            spent, box = timed(lambda: machine.start("sleep", "1000"))
            began.append(spent)
            boxes.append(box)
        return boxes

    results["100 containers started in turn"], boxes = timed(start_all)
    results["create and start by API (bridge)"] = statistics.median(began)
    results["list 100 containers"] = median_ms(lambda: machine.ask("GET", "/containers/json?all=1"))
    results["memory of the engine, idle (MB, not ms)"] = idle
    results["memory of the engine, 100 running (MB, not ms)"] = machine.memory_mb()
    results["100 containers removed in turn"], _ = timed(lambda: machine.remove(boxes))
    return results


LINES = (
    "yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 101000000"
)


def big_log(machine: Machine) -> Results:
    """Return what it takes to write 101 MB of lines and to read them back."""
    docker = ["docker"]

    def write() -> str:
        box = machine.start("sh", "-c", LINES, mode="none")
        machine.ask("POST", f"/containers/{box}/wait")
        return box

    results: Results = {}
    results["a container writes 101 MB of lines"], box = timed(write)

    def read(*words: str) -> float:
        command = [*docker, "logs", *words, box]
        spent, _ = timed(
            lambda: subprocess.run(
                command, env=machine.client, check=True, stdout=subprocess.DEVNULL
            )
        )
        return spent

    results["docker logs of all of it"] = min(read() for _ in range(3))
    results["docker logs --tail 100 of it"] = statistics.median(
        read("--tail", "100") for _ in range(RUNS)
    )
    machine.remove([box])
    return results


ASK = """
import socket, statistics, sys, time
question = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3box\\0\\0\\1\\0\\1"
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.connect(("127.0.0.11", 53))
times = []
for _ in range(300):
    begin = time.perf_counter()
    sock.send(question)
    assert sock.recv(600)[6:8] == b"\\0\\1", "one answer"
    times.append(time.perf_counter() - begin)
print(statistics.median(times) * 1000)
"""


def networking(engine: EngineUnderTest) -> list[dict[str, object]]:
    """Return what a network adds to a start, and how long a name takes."""
    engine.docker("network", "create", "bench")
    figures: dict[str, list[float]] = {"none": [], "bridge": [], "bench": []}
    for _ in range(RUNS):
        for mode, times in figures.items():
            host = {"NetworkMode": mode}
            body = {"Image": "busybox", "Cmd": ["sleep", "99"], "HostConfig": host}
            _, made = engine.request("POST", "/containers/create", body)
            begin = time.perf_counter()
            engine.request("POST", f"/containers/{made['Id']}/start")
            times.append((time.perf_counter() - begin) * 1000)
    # Only now: taking interfaces down holds the kernel's lock that making them waits for.
    engine.remove_containers()
    without = statistics.median(figures["none"])
    engine.docker("run", "-d", "--name", "box", "--network", "bench", "busybox", "sleep", "1000")
    pid = engine.docker("inspect", "-f", "{{.State.Pid}}", "box").stdout.strip()
    command = ["nsenter", "-n", "-t", pid, sys.executable, "-c", ASK]
    name = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    engine.docker("rm", "-f", "box")
    engine.docker("network", "rm", "bench")
    return [
        row(
            "what the default bridge adds to a start",
            statistics.median(figures["bridge"]) - without,
            "",
            None,
        ),
        row(
            "what a network with names adds to a start",
            statistics.median(figures["bench"]) - without,
            "",
            None,
        ),
        row("a container's name looked up", name, "", None),
    ]


def five_hundred(machine: Machine, supervisors: Callable[[], list[int]]) -> None:
    """Print how the engine does with 500 running containers; peers are too slow for it."""
    began, boxes = [], []
    for _ in range(500):
        spent, box = timed(lambda: machine.start("sleep", "1000"))
        began.append(spent)
        boxes.append(box)
    listing = median_ms(lambda: machine.ask("GET", "/containers/json"))
    first, last = statistics.median(began[5:55]), statistics.median(began[-50:])
    memory = statistics.median(map(pss_kb, supervisors())) / 1024
    print(
        f"500 running: create and start {first:.1f} ms at first, {last:.1f} ms at last "
        f"({last / first:.2f}); list {listing:.1f} ms; a supervisor holds {memory:.2f} MB (PSS)"
    )
    machine.remove(boxes)


def compare(ours: Results, theirs: Results | None) -> list[dict[str, object]]:
    """Return a row for each figure."""
    return [
        row(name, value, "dockerd", theirs.get(name) if theirs else None)
        for name, value in ours.items()
    ]


def main() -> int:
    """Measure and print; return the exit code."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        engine = EngineUnderTest(directory / "engine")
        (directory / "engine").mkdir()
        engine.start()
        try:
            layout = busybox().write(directory / "layout", "busybox")
            engine.docker("load", "-i", str(archive(layout, directory / "busybox.tar")))
            (directory / "runc").mkdir()
            peer = runc(directory / "runc")
            ours = runtime_alone(directory / "runtime")
            rows.append(row("runtime alone, with a network", ours, "runc", peer))
            ours = start_to_exit(engine)
            rows.append(row("start and exit by API (none)", ours, "runc", peer))
            for mode in ("none", "bridge"):
                ours = api_cycle(engine, mode)
                rows.append(row(f"create, start, exit, remove by API ({mode})", ours, "runc", peer))
            (directory / "dockerd").mkdir()
            with dockerd(directory / "dockerd") as client:
                if client:
                    old = directory / "docker.tar"  # Debian's dockerd does not read OCI layouts
                    copy = ["skopeo", "copy", "--insecure-policy", f"oci:{layout}:busybox"]
                    copy.append(f"docker-archive:{old}:busybox:latest")
                    subprocess.run(copy, check=True, capture_output=True)
                    load = ["docker", "load", "-i", str(old)]
                    subprocess.run(load, env=client, check=True, capture_output=True)
                ours_machine = Machine(
                    engine.settings.socket,
                    lambda: sorted({*descendants(engine.pid), *engine.supervisors()}),
                )
                their_machine = None
                if client:
                    daemon = int((directory / "dockerd" / "pid").read_text())
                    their_machine = Machine(
                        directory / "dockerd" / "docker.sock",
                        lambda: sorted({*descendants(daemon), *mentioning(directory / "dockerd")}),
                    )
                for measure in (crowd, big_log):
                    peer_results = measure(their_machine) if their_machine else None
                    rows += compare(measure(ours_machine), peer_results)
                rows += networking(engine)
                five_hundred(ours_machine, engine.supervisors)
                for mode in ("none", "bridge"):
                    theirs = docker_run(client, mode) if client else None
                    ours = docker_run(engine.environment, mode)
                    rows.append(row(f"docker run --rm ({mode})", ours, "dockerd", theirs))
        finally:
            engine.destroy()
    print(f"{'work':48} {'ours':>9} {'peer':>18} {'ratio':>7}   median of {RUNS}")
    for item in rows:
        theirs = "not measured" if item["peer_ms"] is None else f"{item['peer_ms']:.1f} ms"
        ratio = "" if item["ratio"] is None else f"{item['ratio']:.2f}"
        print(
            f"{item['name']:48} {item['ours_ms']:6.1f} ms {item['peer']:>8} {theirs:>9} {ratio:>7}"
        )
    target = Path(os.environ.get("HYTHE_DATA", ".")) / "bench.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A real engine for tests: its own data directory, socket, bridge, firewall table and cgroups."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from engine.config import Settings
from engine.kernel import cgroups
from engine.kernel.nftables import Nftables
from engine.networks.model import Network

TREE = Path(__file__).parents[2]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Return the condition's first true value; fail with `what` when it stays false."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain until {what}")


class UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Connect, as HTTPConnection asks for it."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


@cache
def nftables() -> Nftables:
    """Return one context for all: each holds a socket."""
    return Nftables()


def request(path: Path, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    """Ask the API behind a unix socket; return (status, JSON or text). Bytes go as a tar."""
    connection = UnixConnection(path)
    is_json = not isinstance(body, bytes)
    data = json.dumps(body) if is_json and body is not None else body
    kind = "application/json" if is_json else "application/x-tar"
    try:
        connection.request(method, target, data, {"Content-Type": kind})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text


class EngineUnderTest:
    """`python -m engine` on a directory of its own."""

    def __init__(self, data: Path, namespace: str = "", **environment: str) -> None:
        """Keep everything below `data`; run in a network namespace of `ip netns` when named."""
        self._environment = environment
        self._prefix = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
        self.settings = Settings.for_data(data)
        self.log = data / "engine.log"
        self.armed = data / "armed"
        self.idle_descriptors = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, crash_at: str = "") -> None:
        """Start it and wait until it answers; `crash_at` is a point of `tests.support.crash`."""
        crash = ("tests.support.crash", crash_at, str(self.armed)) if crash_at else ("engine",)
        self.armed.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", *crash, "--data", str(self.settings.root)],
                cwd=TREE,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, f"the engine answers; its log:\n{self.log.read_text()}")

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self.log.read_text()
        try:
            return self.request("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def kill(self) -> None:
        """Kill it as a crash would."""
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def await_crash(self) -> None:
        """Wait until it has killed itself at its point."""
        assert self._process
        assert self._process.wait(30) == -signal.SIGKILL, self.log.read_text()
        self.armed.unlink()

    def stop(self) -> None:
        """Stop it in order; containers stay."""
        assert self._process
        self._process.terminate()
        assert self._process.wait(20) == 0, self.log.read_text()

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the API; return (status, JSON or text)."""
        return request(self.settings.socket, method, path, body)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment that points the docker CLI here."""
        return {**os.environ, "DOCKER_HOST": f"unix://{self.settings.socket}"}

    def docker(
        self, *arguments: str, check: int | None = 0, text: str | None = None, seconds: int = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run the docker CLI; `check` is the exit code it must end with, None for any."""
        result = subprocess.run(
            ["docker", *arguments],
            env=self.environment,
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check is not None:
            assert result.returncode == check, f"docker {arguments}: {result}"
        return result

    def remove_containers(self) -> None:
        """Remove every container."""
        for row in self.request("GET", "/containers/json?all=1")[1]:
            status, answer = self.request("DELETE", f"/containers/{row['Id']}?force=1&v=1")
            assert status in (204, 404), answer

    def remove_all(self) -> None:
        """Remove every container, network and volume."""
        self.remove_containers()
        for row in self.request("GET", "/networks")[1]:
            if row["Name"] not in ("bridge", "host", "none"):
                self.request("DELETE", f"/networks/{row['Id']}")
        for row in self.request("GET", "/volumes")[1]["Volumes"]:
            self.request("DELETE", f"/volumes/{row['Name']}?force=1")

    def leftovers(self) -> list[str]:
        """Return what of the kernel's things still belongs to containers of this engine."""
        found = []
        for mount_point in cgroups.hierarchies().all():
            parent = Path(mount_point) / self.settings.cgroup_parent
            found += [str(path) for path in parent.glob("*") if path.is_dir()]
        for network in self.networks():
            ports = Path(f"/sys/class/net/{network['device']}/brif")
            found += [str(path) for path in ports.glob("*")]
            if network["name"] != "bridge":
                found.append(f"network {network['name']}")
        mounts = Path("/proc/self/mountinfo").read_text()
        found += [line for line in mounts.splitlines() if str(self.settings.root) in line]
        found += [str(path) for path in (self.settings.run / "containers").glob("*")]
        found += [str(path) for path in (self.settings.state / "containers").glob("*")]
        found += [f"process {pid}" for pid in self.supervisors()]
        found += self._stray_snapshots()
        found += self._published()
        return found

    def supervisors(self) -> list[int]:
        """Return the processes that write a supervisor's log below this engine's directory."""
        result = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    target = os.readlink(f"/proc/{entry}/fd/2")
                except OSError:  # it ended while we looked
                    continue
                if target.startswith(str(self.settings.run / "containers")):
                    result.append(int(entry))
        return result

    def _stray_snapshots(self) -> list[str]:
        with closing(sqlite3.connect(self.settings.database)) as database:
            rows = database.execute("SELECT directory, kind FROM snapshots").fetchall()
        known = {directory for directory, kind in rows if kind == "committed"}
        return [
            str(path)
            for path in (self.settings.state / "snapshots").iterdir()
            if path.name not in known
        ]

    def networks(self) -> list[dict[str, str]]:
        """Return name and device of every network that stands on a device of its own."""
        with closing(sqlite3.connect(self.settings.database)) as database:
            rows = [
                json.loads(text) for (text,) in database.execute("SELECT document FROM networks")
            ]
        return [
            {"name": row["name"], "device": Network.from_row(row).device}
            for row in rows
            if row["driver"] in ("bridge", "macvlan")
        ]

    def _published(self) -> list[str]:
        table, found = self.settings.firewall_table, []
        for name in ("any", "any6", "addressed", "addressed6"):
            text = nftables().run(f"list map inet {table} {name}")
            found += [line.strip() for line in text.splitlines() if "elements" in line]
        return [f"published: {line}" for line in found]

    @property
    def pid(self) -> int:
        """Return the daemon's process."""
        assert self._process
        return self._process.pid

    def descriptors(self) -> int:
        """Return how many descriptors the daemon holds."""
        assert self._process
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def destroy(self) -> None:
        """Remove containers, stop, and take down bridge, table and cgroups."""
        self.remove_all()
        wait_until(lambda: not self.leftovers(), f"nothing is left: {self.leftovers()}")
        self.stop()
        self.dismantle()

    def dismantle(self) -> None:
        """Take down what a stopped engine leaves for the next one: bridges, table, cgroups."""
        for network in self.networks():
            subprocess.run(["ip", "link", "del", network["device"]], check=True)
        table = self.settings.firewall_table
        nftables().run(f"add table inet {table}\ndelete table inet {table}")
        cgroups.remove_parent(self.settings.cgroup_parent)

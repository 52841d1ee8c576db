"""Control groups: one container's group in every mounted hierarchy, v2, v1 or both.

Shape: v2 is one directory below the unified mount; v1 is one below each controller's mount. Where
       both are mounted (hybrid), controllers are v1 and the v2 group, which has none, serves to
       kill and to freeze.
Source: kernel Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

from __future__ import annotations

import errno
import os
import select
import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")


@dataclass(frozen=True)
class Hierarchies:
    """Where the hierarchies are mounted; `unified` is "" where there is no v2."""

    unified: str
    controllers: frozenset[str]  # of v2
    v1: dict[str, str]  # controller or "name=…" → mount point

    def all(self) -> list[str]:
        """Return every distinct mount point."""
        return [*dict.fromkeys(self.v1.values()), *([self.unified] if self.unified else [])]

    def find(self, controller: str) -> str | None:
        """Return the mount point whose groups have this controller."""
        if controller in self.controllers:
            return self.unified
        return self.v1.get(controller)

    def has(self, group: str, controller: str, file: str) -> bool:
        """Tell whether a group has a controller's file."""
        mount_point = self.find(controller)
        return bool(mount_point) and os.path.exists(f"{mount_point}/{group}/{file}")

    def is_v2(self, controller: str) -> bool:
        """Tell whether the controller's files are those of v2."""
        return controller in self.controllers


@cache
def hierarchies() -> Hierarchies:
    """Return the mounted hierarchies, read once."""
    unified, v1 = "", {}
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        for line in lines:
            left, _, right = line.partition(" - ")
            fstype, _, options = right.split(maxsplit=2)
            target = left.split()[4]
            if fstype == "cgroup2":
                unified = unified or target
            elif fstype == "cgroup":
                for word in options.strip().split(","):
                    if word not in ("rw", "ro", "xattr"):
                        v1[word] = target
    controllers: frozenset[str] = frozenset()
    if unified:
        controllers = frozenset(read(f"{unified}/cgroup.controllers").split())
    return Hierarchies(unified, controllers, v1)


def read(path: str) -> str:
    """Return a control file's text."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16).decode()
    finally:
        os.close(fd)


def write(path: str, value: str | int) -> None:
    """Write a control file in one write(2), as the kernel wants it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def prepare_parent(parent: str) -> list[str]:
    """Make the group that will hold all containers; return warnings about what it cannot control.

    After: controllers are switched on for groups below it; v1 cpuset has CPUs to hand down.
    """
    found = hierarchies()
    warnings = []
    names = parent.split("/")
    paths = ["/".join(names[: count + 1]) for count in range(len(names))]
    for mount_point in found.all():
        os.makedirs(f"{mount_point}/{parent}", exist_ok=True)
    if cpuset := found.v1.get("cpuset"):
        for path in paths:
            _inherit_cpuset(cpuset, path)
    for controller in _V2_CONTROLLERS:
        if controller in found.controllers:
            for group in (found.unified, *(f"{found.unified}/{path}" for path in paths)):
                try:
                    write(f"{group}/cgroup.subtree_control", f"+{controller}")
                except OSError as error:
                    warnings.append(f"cgroup controller {controller}: {error.strerror}")
    warnings += [
        f"No {controller} controller: its limits have no effect"
        for controller in ("cpu", "memory", "pids", "cpuset")
        if found.find(controller) is None
    ]
    return warnings


def remove_parent(parent: str) -> None:
    """Remove the parent group wherever it is empty."""
    for mount_point in hierarchies().all():
        try:
            os.rmdir(f"{mount_point}/{parent}")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
                raise


def _inherit_cpuset(mount_point: str, group: str) -> None:
    # A v1 cpuset starts empty and refuses processes until it has CPUs and memory nodes.
    above = os.path.dirname(f"{mount_point}/{group}")
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not read(f"{mount_point}/{group}/{name}").strip():
            write(f"{mount_point}/{group}/{name}", read(f"{above}/{name}").strip())


@dataclass
class Cgroup:
    """One container's group, `name` being "<parent>/<id>" in every hierarchy."""

    name: str
    found: Hierarchies = field(default_factory=hierarchies)

    def path(self, controller: str, file: str = "") -> str | None:
        """Return the path of a controller's file of this group, None without the controller."""
        mount_point = self.found.find(controller)
        return None if mount_point is None else f"{mount_point}/{self.name}/{file}"

    def _directories(self) -> Iterator[str]:
        for mount_point in self.found.all():
            yield f"{mount_point}/{self.name}"

    def create(self) -> None:
        """Make the group in every hierarchy."""
        for directory in self._directories():
            try:
                os.mkdir(directory)
            except FileExistsError:
                # Left by a supervisor that was killed, its processes perhaps still about to end.
                if self.found.unified and directory.startswith(f"{self.found.unified}/"):
                    self._renew(directory)
        if cpuset := self.found.v1.get("cpuset"):
            _inherit_cpuset(cpuset, self.name)

    def _renew(self, directory: str) -> None:
        """Replace a v2 group by a new one: Linux kills what is born into one that was killed."""
        self.kill()
        self._await(directory, "populated 0")
        for below, _, _ in os.walk(directory, topdown=False):
            os.rmdir(below)
        os.mkdir(directory)

    def _await(self, directory: str, line: str) -> None:
        """Wait until cgroup.events says so. Raises: TimeoutError."""
        fd = os.open(f"{directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLPRI)
            while line not in os.pread(fd, 256, 0).decode():
                if not poll.poll(10_000):
                    raise TimeoutError(errno.ETIMEDOUT, f"{directory} is not {line}")
        finally:
            os.close(fd)

    def open_unified(self) -> int | None:
        """Return a descriptor of the v2 group, for a process to be born in."""
        if not self.found.unified:
            return None
        path = f"{self.found.unified}/{self.name}"
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def add_v1(self, pid: int) -> None:
        """Move a process into the v1 groups (into v2 it is born)."""
        for mount_point in dict.fromkeys(self.found.v1.values()):
            write(f"{mount_point}/{self.name}/cgroup.procs", pid)

    def add(self, pid: int) -> None:
        """Move a process into the group of every hierarchy."""
        self.add_v1(pid)
        if self.found.unified:
            write(f"{self.found.unified}/{self.name}/cgroup.procs", pid)

    def processes(self) -> list[int]:
        """Return the processes in the group, as seen from the caller's pid namespace."""
        directory = next(self._directories(), None)
        if directory is None:
            return []
        try:
            return [int(word) for word in read(f"{directory}/cgroup.procs").split()]
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return []
            raise

    def kill(self) -> None:
        """Kill every process of the group at once."""
        if self.found.unified:
            try:
                write(f"{self.found.unified}/{self.name}/cgroup.kill", 1)
            except FileNotFoundError:
                return

    def is_frozen(self) -> bool:
        """Tell whether every process of the group stands still."""
        return "frozen 1" in read(f"{self.found.unified}/{self.name}/cgroup.events")

    def freeze(self, *, frozen: bool) -> None:
        """Stop or continue every process of the group; returns when the kernel says it is so."""
        group = f"{self.found.unified}/{self.name}"
        write(f"{group}/cgroup.freeze", int(frozen))
        self._await(group, f"frozen {int(frozen)}")

    def oom_kills(self) -> int:
        """Return how many processes of the group the kernel killed for want of memory."""
        v2 = self.found.is_v2("memory")
        path = self.path("memory", "memory.events" if v2 else "memory.oom_control")
        if path is None:
            return 0
        return int(_pairs(path).get("oom_kill", 0))

    def remove(self) -> None:
        """Remove the group everywhere, children that the container made included."""
        for directory in self._directories():
            for below, _, _ in os.walk(directory, topdown=False):
                try:
                    os.rmdir(below)
                except FileNotFoundError:
                    continue

    def remove_when_empty(self) -> None:
        """Remove the group once the kernel has let go of the last process.

        It frees a dead process's place a moment after it can be waited for, and tells nobody.
        """
        for _ in range(200):
            try:
                self.remove()
            except OSError:
                time.sleep(0.005)
            else:
                return


def _pairs(path: str) -> dict[str, int]:
    words = (line.split() for line in read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit()}


pairs = _pairs

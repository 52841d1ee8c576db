"""Volumes of the local driver: directories that outlive containers.

Shape: <state>/volumes/<name>/_data; the row in `volumes` is the volume's existence. A volume that
       is being removed is first renamed to ".removed-<name>-<random>", so that a crash leaves
       either the whole volume or a removal to finish.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.core import clock
from engine.core.errors import Conflict, NotFound
from engine.core.trees import discard_tree, total_size
from engine.kernel import quota
from engine.runtime.files import run_to_end
from engine.store.volumes import VolumeTable
from engine.volumes import mounts
from engine.volumes.model import Volume, check_name, check_options

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import Settings
    from engine.core.events import EventBus
    from engine.store.database import Database

log = logging.getLogger(__name__)
REMOVED = ".removed-"


class Volumes:
    """All volumes of the engine."""

    def __init__(
        self, settings: Settings, database: Database, events: EventBus, scratch: Path
    ) -> None:
        self._root = settings.state / "volumes"
        self._scratch = scratch
        self._table = VolumeTable(database)
        self._events = events
        self._root.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._volumes = {row["name"]: Volume(**row) for row in self._table.all()}
        self._lock = threading.RLock()  # one volume is made or removed at a time
        # A server that does not answer holds up its own volume alone.
        self._mounts: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._mounted_for: dict[str, set[str]] = defaultdict(set)
        # Says which containers use a volume; set by the daemon once containers are known.
        self.users: Callable[[str], list[str]] = lambda _name: []

    def open(self, running: dict[str, set[str]]) -> None:
        """Finish removals that were cut off, and unmount what no running container uses.

        `running` has, by volume, the IDs of the running containers that use it.
        """
        for directory in self._root.glob(f"{REMOVED}*"):
            name = directory.name.removeprefix(REMOVED).rpartition("-")[0]
            for place in mounts.mounted_below(str(directory)):
                mounts.unmount(place)
            if name in self._volumes and not (self._root / name).exists():
                self._forget(name)
            self._discard(directory)
        mounted = mounts.mounted_below(str(self._root))
        for volume in self._volumes.values():
            if volume.mountpoint in mounted:
                if users := running.get(volume.name):
                    self._mounted_for[volume.name] = set(users)
                else:
                    mounts.unmount(volume.mountpoint)

    def ensure(
        self,
        name: str | None,
        labels: dict[str, str] | None = None,
        *,
        options: dict[str, str] | None = None,
        anonymous: bool = False,
    ) -> Volume:
        """Return the volume of that name, made when missing; None makes an anonymous one."""
        with self._lock:
            if name and name in self._volumes:
                return self._volumes[name]
            return self.create(
                name, labels or {}, options or {}, anonymous=anonymous or name is None
            )

    def create(
        self,
        name: str | None,
        labels: dict[str, str],
        options: dict[str, str] | None = None,
        *,
        anonymous: bool = False,
    ) -> Volume:
        """Make a volume. Raises: InvalidArgument(name, options) · Unsupported(quota)."""
        chosen = name or secrets.token_hex(32)
        check_name(chosen)
        options = options or {}
        check_options(chosen, options)
        path = self._root / chosen / "_data"
        path.mkdir(parents=True, exist_ok=True)
        if "size" in options:
            try:
                quota.limit(str(path), options["size"])
            except BaseException:
                self._discard(self._root / chosen)
                raise
        volume = Volume(chosen, str(path), clock.stamp(), labels, anonymous, options)
        self._table.save(chosen, volume.__dict__)
        self._volumes[chosen] = volume
        self._events.publish("volume", "create", chosen, driver="local")
        return volume

    def get(self, name: str) -> Volume:
        """Return one volume. Raises: NotFound."""
        try:
            return self._volumes[name]
        except KeyError:
            raise NotFound(f"get {name}: no such volume") from None

    def all(self) -> list[Volume]:
        """Return every volume."""
        return list(self._volumes.values())

    def size(self, volume: Volume) -> int:
        """Return the bytes of all files; -1 for what belongs to somebody else's filesystem."""
        return -1 if volume.is_mounted else total_size(volume.mountpoint)

    def remove(self, name: str) -> None:
        """Remove a volume and its data. Raises: NotFound · Conflict(in use)."""
        removed = self._root / f"{REMOVED}{name}-{secrets.token_hex(4)}"
        with self._lock:
            self.get(name)
            if users := self.users(name):
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            # What is mounted on it is not the volume's to remove.
            if self._mounted_for[name]:
                raise Conflict(f"remove {name}: volume is in use by a request for its files")
            try:
                os.rename(self._root / name, removed)
            except FileNotFoundError:
                log.warning("the directory of volume %s was gone", name)
            self._forget(name)
        self._discard(removed)
        self._events.publish("volume", "destroy", name, driver="local")

    def _forget(self, name: str) -> None:
        self._table.delete(name)
        del self._volumes[name]

    def _discard(self, directory: Path) -> None:
        # Of its own thread: a large volume takes long, and is as good as gone.
        threading.Thread(target=discard_tree, args=(directory,), daemon=True).start()

    def remove_unused(self, name: str) -> None:
        """Remove an anonymous volume after its container, unless another uses it."""
        if name in self._volumes and not self.users(name):
            self.remove(name)

    def mount(self, name: str, user: str) -> None:
        """Mount what a volume's options name, for a container or a request that needs it.

        Raises: Internal(mount failed, in the words of mount(8)).
        """
        if not self.get(name).is_mounted:
            return
        with self._mounts[name]:
            with self._lock:
                volume = self.get(name)  # it may have been removed meanwhile
                first = not self._mounted_for[name]
                self._mounted_for[name].add(user)
            try:
                if first:
                    mounts.mount(volume)
            except BaseException:
                self._mounted_for[name].discard(user)
                raise

    def unmount(self, name: str, user: str) -> None:
        """Take back what `mount` gave; the last one to do so unmounts."""
        volume = self._volumes.get(name)
        if volume is None or not volume.is_mounted:
            return
        with self._mounts[name]:
            users = self._mounted_for[name]
            if user in users:
                users.discard(user)
                if not users:
                    mounts.unmount(volume.mountpoint)

    def copy_up(self, name: str, layers: list[str], target: str) -> None:
        """Fill an empty volume with what the image has at `target`, ownership included.

        `layers` are the directories of the container's root, topmost first. The work is done by a
        process that sees nothing but the two trees.
        """
        volume = self.get(name)
        if os.listdir(volume.mountpoint) or not _may_hold(layers, target):
            return
        run_to_end(
            {
                "op": "copy_up",
                "directory": volume.mountpoint,
                "layers": layers,
                "path": target,
                "scratch": str(self._scratch),
            }
        )


def _may_hold(layers: list[str], target: str) -> bool:
    """Tell whether a process is worth its start: some layer has the directory, or a link to it."""
    parts = [part for part in os.path.normpath("/" + target).split("/") if part]
    for layer in layers:
        path = layer
        for part in parts:
            path = f"{path}/{part}"
            if os.path.islink(path):
                return True
            if not os.path.isdir(path):
                break
        else:
            return True
    return False

"""Volumes of the local driver: directories that outlive containers.

Shape: <state>/volumes/<name>/_data; the row in `volumes` is the volume's existence.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.core import clock
from engine.core.errors import Conflict, InvalidArgument, NotFound, Unsupported
from engine.store.volumes import VolumeTable

if TYPE_CHECKING:
    from engine.config import Settings
    from engine.core.events import EventBus
    from engine.store.database import Database

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


@dataclass
class Volume:
    """One volume."""

    name: str
    mountpoint: str
    created: str
    labels: dict[str, str] = field(default_factory=dict)
    anonymous: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return Docker's description."""
        return {
            "Name": self.name,
            "Driver": "local",
            "Mountpoint": self.mountpoint,
            "CreatedAt": self.created,
            "Labels": self.labels or None,
            "Options": None,
            "Scope": "local",
        }


class Volumes:
    """All volumes of the engine."""

    def __init__(self, settings: Settings, database: Database, events: EventBus) -> None:
        self._root = settings.state / "volumes"
        self._table = VolumeTable(database)
        self._events = events
        self._root.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._volumes = {row["name"]: Volume(**row) for row in self._table.all()}
        # Says which containers use a volume; set by the daemon once containers are known.
        self.users: Callable[[str], list[str]] = lambda _name: []

    def ensure(
        self, name: str | None, labels: dict[str, str] | None = None, *, anonymous: bool = False
    ) -> Volume:
        """Return the volume of that name, made when missing; None makes an anonymous one."""
        if name and name in self._volumes:
            return self._volumes[name]
        return self.create(name, labels or {}, anonymous=anonymous or name is None)

    def create(
        self, name: str | None, labels: dict[str, str], *, anonymous: bool = False
    ) -> Volume:
        """Make a volume. Raises: InvalidArgument(name)."""
        chosen = name or secrets.token_hex(32)
        if not _NAME.fullmatch(chosen):
            raise InvalidArgument(
                f'create {chosen}: "{chosen}" includes invalid characters for a local volume name, '
                'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host '
                "directory, use absolute path"
            )
        path = self._root / chosen / "_data"
        path.mkdir(parents=True, exist_ok=True)
        volume = Volume(chosen, str(path), clock.stamp(), labels, anonymous=anonymous)
        self._table.save(chosen, volume.__dict__)
        self._volumes[chosen] = volume
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

    def remove(self, name: str) -> None:
        """Remove a volume and its data. Raises: NotFound · Conflict(in use)."""
        self.get(name)
        if users := self.users(name):
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        self._table.delete(name)
        del self._volumes[name]
        shutil.rmtree(self._root / name)

    def remove_unused(self, name: str) -> None:
        """Remove an anonymous volume after its container, unless another uses it."""
        if name in self._volumes and not self.users(name):
            self.remove(name)

    def copy_up(self, name: str, layers: list[str], target: str) -> None:
        """Fill an empty volume with what the image has at `target`, ownership included.

        `layers` are the directories of the container's root, topmost first.
        """
        volume = self.get(name)
        if os.listdir(volume.mountpoint):
            return
        sources = [path for layer in layers if (path := _inside(layer, target))]
        if not sources:
            return
        top = os.lstat(sources[0])
        os.chown(volume.mountpoint, top.st_uid, top.st_gid)
        os.chmod(volume.mountpoint, stat.S_IMODE(top.st_mode))
        try:
            for source in reversed(sources):
                _copy_tree(source, volume.mountpoint)
        except BaseException:
            # Half a copy would be taken for a volume in use: the next start begins anew.
            for entry in os.scandir(volume.mountpoint):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)
            raise


def _inside(layer: str, target: str) -> str | None:
    """Return the directory `target` of a layer when no link leads out of it."""
    path = layer
    for part in target.strip("/").split("/"):
        path = f"{path}/{part}"
        if not os.path.isdir(path) or os.path.islink(path):
            return None
    return path


def _copy_tree(source: str, target: str) -> None:
    for entry in os.scandir(source):
        found = entry.stat(follow_symlinks=False)
        place = f"{target}/{entry.name}"
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:  # a whiteout: gone in this layer
            if os.path.isdir(place) and not os.path.islink(place):
                shutil.rmtree(place)
            elif os.path.lexists(place):
                os.unlink(place)
            continue
        if entry.is_dir(follow_symlinks=False):
            os.makedirs(place, exist_ok=True)
            _copy_tree(entry.path, place)
        elif entry.is_symlink():
            if os.path.lexists(place):
                os.unlink(place)
            os.symlink(os.readlink(entry.path), place)
        elif entry.is_file(follow_symlinks=False):
            if os.path.lexists(place):
                os.unlink(place)
            shutil.copyfile(entry.path, place)
        else:
            raise Unsupported(f"{entry.path}: devices are not copied into volumes")
        os.chown(place, found.st_uid, found.st_gid, follow_symlinks=False)
        if not entry.is_symlink():
            os.chmod(place, stat.S_IMODE(found.st_mode))
            os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns))

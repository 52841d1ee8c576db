"""Snapshots on overlay: each is a directory; a root is a stack of them.

A snapshot is *active* (a container's writable layer, key = container ID) or *committed* (an
unpacked image layer, key = chain ID). Active snapshots stand on committed ones; committed ones
never change.

Shape: <state>/snapshots/<n>/fs, and <n>/work for active ones; <n> is short because overlay's
       option string, with every layer in it, may be no longer than a page.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from engine.core.errors import Conflict, NotFound
from engine.core.trees import discard_tree, total_size
from engine.kernel.mount import Mount
from engine.store.snapshots import SnapshotRow, SnapshotTable

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import Settings
    from engine.store.database import Database


class Snapshots:
    """All snapshots of the engine; safe for several threads."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._root = settings.state / "snapshots"
        self._table = SnapshotTable(database)
        self._rows: dict[str, SnapshotRow] = {}
        self._lock = threading.Lock()
        self._number = 0

    def open(self, containers: set[str]) -> None:
        """Read the table; remove directories and active snapshots that belong to nothing."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._root.chmod(0o711)
        for row in self._table.all():
            if row.kind == "active" and row.key not in containers:
                self._table.delete(row.key)
            else:
                self._rows[row.key] = row
        known = {row.directory for row in self._rows.values()}
        for entry in list(self._root.iterdir()):
            if entry.name not in known:
                discard_tree(entry)
        self._number = max((int(name) for name in known if name.isdigit()), default=0)

    def _next_directory(self) -> str:
        with self._lock:
            self._number += 1
            return str(self._number)

    def _path(self, row: SnapshotRow) -> Path:
        return self._root / row.directory

    def prepare(self, key: str, parent: str | None) -> list[Mount]:
        """Open a writable snapshot `key` on the committed snapshot `parent`.

        Raises: NotFound(parent) · Conflict(key is open).
        """
        if key in self._rows:
            raise Conflict(f"snapshot {key} exists")
        if parent is not None and parent not in self._rows:
            raise NotFound(f"snapshot {parent} not found")
        row = SnapshotRow(key, "active", parent, self._next_directory(), 0)
        path = self._path(row)
        path.mkdir(mode=0o711)
        (path / "fs").mkdir(mode=0o755)
        (path / "work").mkdir(mode=0o711)
        self._table.save(row)
        self._rows[key] = row
        return self.mounts(key)

    def mounts(self, key: str) -> list[Mount]:
        """Return what has to be mounted, at the caller's place, to see the snapshot's tree."""
        row = self._row(key)
        upper = self._path(row) / "fs"
        lower = self.layers(key)[1:]
        if not lower:
            return [Mount("bind", str(upper), "", ("rbind",))]
        options = (
            f"lowerdir={':'.join(lower)}",
            f"upperdir={upper}",
            f"workdir={upper.parent / 'work'}",
            # Whatever the kernel's defaults: a layer's directory must tell its changes by itself.
            "index=off,redirect_dir=off,metacopy=off",
        )
        return [Mount("overlay", "overlay", "", options)]

    def layers(self, key: str) -> list[str]:
        """Return the directories of the snapshot and those below it, topmost first."""
        result = []
        current: str | None = key
        while current is not None:
            row = self._row(current)
            result.append(str(self._path(row) / "fs"))
            current = row.parent
        return result

    def describe(self, key: str) -> dict[str, str]:
        """Return what `docker inspect` shows as GraphDriver.Data."""
        upper, *lower = self.layers(key)
        directory = os.path.dirname(upper)
        return {
            "LowerDir": ":".join(lower),
            "MergedDir": f"{directory}/merged",
            "UpperDir": upper,
            "WorkDir": f"{directory}/work",
        }

    def _row(self, key: str) -> SnapshotRow:
        try:
            return self._rows[key]
        except KeyError:
            raise NotFound(f"snapshot {key} not found") from None

    def has(self, key: str) -> bool:
        """Tell whether a snapshot exists."""
        return key in self._rows

    def remove(self, key: str) -> None:
        """Remove a snapshot; one that is not there is fine. Raises: Conflict(others stand on it).

        After: the key is free at once; the tree is deleted by a thread of its own, and by the
        next start when that does not come to its end.
        """
        row = self._rows.get(key)
        if row is None:
            return
        if any(other.parent == key for other in self._rows.values()):
            raise Conflict(f"snapshot {key} has children")
        self._table.delete(key)
        del self._rows[key]
        path = self._path(row)
        threading.Thread(target=discard_tree, args=(path,), daemon=True).start()

    def usage(self, key: str) -> int:
        """Return the bytes that the snapshot itself occupies, without what is below."""
        row = self._row(key)
        if row.kind == "committed":
            return row.size
        return total_size(str(self._path(row) / "fs"))

    def new_layer(self) -> Path:
        """Return a fresh directory to unpack a layer into; give it to `commit` or `abandon`."""
        path = self._root / self._next_directory()
        path.mkdir(mode=0o711)
        (path / "fs").mkdir(mode=0o755)
        return path

    def commit(self, path: Path, chain_id: str, parent: str | None, size: int) -> None:
        """Make an unpacked layer the committed snapshot `chain_id`; a second one is dropped."""
        with self._lock:
            if chain_id not in self._rows:
                row = SnapshotRow(chain_id, "committed", parent, path.name, size)
                self._table.save(row)
                self._rows[chain_id] = row
                return
        self.abandon(path)

    def abandon(self, path: Path) -> None:
        """Delete a directory that never became a snapshot."""
        discard_tree(path)

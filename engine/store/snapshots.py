"""Rows of snapshots: which key is kept in which directory, on top of which parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.store.database import Database


@dataclass(frozen=True)
class SnapshotRow:
    """One snapshot: kind is "active" or "committed"."""

    key: str
    kind: str
    parent: str | None
    directory: str
    size: int


class SnapshotTable:
    """The `snapshots` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, row: SnapshotRow) -> None:
        """Insert one snapshot. Raises sqlite3.IntegrityError for a key that exists."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?)",
                (row.key, row.kind, row.parent, row.directory, row.size),
            )

    def delete(self, key: str) -> None:
        """Remove one snapshot's row."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM snapshots WHERE key = ?", (key,))

    def all(self) -> list[SnapshotRow]:
        """Return every snapshot."""
        rows = self._database.rows("SELECT key, kind, parent, directory, size FROM snapshots")
        return [SnapshotRow(*row) for row in rows]  # type: ignore[arg-type]

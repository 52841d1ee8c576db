"""Rows of volumes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.store.database import Database


class VolumeTable:
    """The `volumes` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, name: str, document: dict[str, Any]) -> None:
        """Insert or replace one volume."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO volumes VALUES (?, ?)", (name, json.dumps(document))
            )

    def delete(self, name: str) -> None:
        """Remove one volume."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM volumes WHERE name = ?", (name,))

    def all(self) -> list[dict[str, Any]]:
        """Return every document."""
        rows = self._database.rows("SELECT document FROM volumes")
        return [json.loads(str(text)) for (text,) in rows]

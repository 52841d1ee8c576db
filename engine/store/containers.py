"""Rows of containers: one JSON document each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.store.database import Database


class ContainerTable:
    """The `containers` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, container_id: str, name: str, document: dict[str, Any]) -> None:
        """Insert or replace one container."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO containers VALUES (?, ?, ?)",
                (container_id, name, json.dumps(document)),
            )

    def delete(self, container_id: str) -> None:
        """Remove one container; one that is not there is fine."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM containers WHERE id = ?", (container_id,))

    def all(self) -> list[dict[str, Any]]:
        """Return every document."""
        return [
            json.loads(str(text))
            for (text,) in self._database.rows("SELECT document FROM containers")
        ]

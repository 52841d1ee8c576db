"""Rows of endpoints: what each container was given on a network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.store.database import Database


class EndpointTable:
    """The `endpoints` table, and facts that networks keep."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, container_id: str, network_id: str, document: dict[str, Any]) -> None:
        """Insert or replace one endpoint."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO endpoints VALUES (?, ?, ?)",
                (container_id, network_id, json.dumps(document)),
            )

    def delete(self, container_id: str) -> None:
        """Remove a container's endpoints."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM endpoints WHERE container_id = ?", (container_id,))

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (container ID, document) of every endpoint."""
        rows = self._database.rows("SELECT container_id, document FROM endpoints")
        return [(str(container_id), json.loads(str(text))) for container_id, text in rows]

    def fact(self, name: str) -> str | None:
        """Return a remembered value."""
        rows = self._database.rows("SELECT value FROM facts WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def remember(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

"""Rows of networks, and of endpoints: what each running container was given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.store.database import Database


class NetworkTable:
    """The `networks` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, network_id: str, name: str, document: dict[str, Any]) -> None:
        """Insert or replace one network."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO networks VALUES (?, ?, ?)",
                (network_id, name, json.dumps(document)),
            )

    def delete(self, network_id: str) -> None:
        """Remove one network."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM networks WHERE id = ?", (network_id,))

    def all(self) -> list[dict[str, Any]]:
        """Return every document."""
        rows = self._database.rows("SELECT document FROM networks")
        return [json.loads(str(text)) for (text,) in rows]


class SandboxTable:
    """The `endpoints` table: one row for each running container."""

    # What was one row for each endpoint has become one for all; no network's ID is empty.
    _WHOLE = ""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, container_id: str, document: dict[str, Any]) -> None:
        """Insert or replace one container's networking."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO endpoints VALUES (?, ?, ?)",
                (container_id, self._WHOLE, json.dumps(document)),
            )

    def delete(self, container_id: str) -> None:
        """Remove a container's networking."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM endpoints WHERE container_id = ?", (container_id,))

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (container ID, document) of every container that has networking."""
        rows = self._database.rows(
            "SELECT container_id, document FROM endpoints WHERE network_id = ?", (self._WHOLE,)
        )
        return [(str(container_id), json.loads(str(text))) for container_id, text in rows]

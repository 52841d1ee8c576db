"""Rows of images, and of the names that point at them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.store.database import Database


class ImageTable:
    """The `images` and `image_names` tables.

    Shape: a name is a full reference, "docker.io/library/busybox:latest" or with "@sha256:…".
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, image_id: str, document: dict[str, Any], names: list[str]) -> None:
        """Insert or replace an image and point names at it, in one step."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO images VALUES (?, ?)", (image_id, json.dumps(document))
            )
            for name in names:
                connection.execute(
                    "INSERT OR REPLACE INTO image_names VALUES (?, ?, '')", (name, image_id)
                )

    def delete_name(self, name: str) -> None:
        """Remove one name."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM image_names WHERE name = ?", (name,))

    def delete(self, image_id: str) -> None:
        """Remove an image and every name of it."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM image_names WHERE image_id = ?", (image_id,))
            connection.execute("DELETE FROM images WHERE id = ?", (image_id,))

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (ID, document) of every image."""
        rows = self._database.rows("SELECT id, document FROM images")
        return [(str(image_id), json.loads(str(text))) for image_id, text in rows]

    def names(self) -> list[tuple[str, str]]:
        """Return (name, image ID) of every name."""
        rows = self._database.rows("SELECT name, image_id FROM image_names")
        return [(str(name), str(image_id)) for name, image_id in rows]

"""The engine's one SQLite file: opening it, its migrations, its transactions."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from engine.core.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

# One entry per schema version; an entry is never changed once released.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE containers (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL
    );
    CREATE TABLE images (id TEXT PRIMARY KEY, document TEXT NOT NULL);
    CREATE TABLE image_names (name TEXT PRIMARY KEY, image_id TEXT NOT NULL, target TEXT NOT NULL);
    CREATE TABLE snapshots (
        key TEXT PRIMARY KEY, kind TEXT NOT NULL, parent TEXT, directory TEXT NOT NULL UNIQUE,
        size INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL);
    CREATE TABLE endpoints (
        container_id TEXT NOT NULL, network_id TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (container_id, network_id)
    );
    CREATE TABLE volumes (name TEXT PRIMARY KEY, document TEXT NOT NULL);
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    """,
)


class Database:
    """One connection, shared by threads under a lock: writes are short."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # WAL with NORMAL survives a killed process; only a power cut may lose the last commits.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        path.chmod(0o600)
        self._migrate()

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._connection.executescript(f"BEGIN;{script};PRAGMA user_version={number};COMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside BEGIN IMMEDIATE … COMMIT; roll back on any error.

        Raises: StoreFailed(disk full, file gone).
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    # SQLite may have rolled back by itself, as it does when the disk is full.
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.IntegrityError:
                raise  # a key that exists is its caller's affair
            except sqlite3.Error as error:
                raise StoreFailed(f"the engine's database: {error}") from error

    def rows(self, query: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Return every row of a read."""
        with self._lock:
            return self._connection.execute(query, parameters).fetchall()

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        with self._lock:
            self._connection.close()

"""What the process's environment says; the only place of the platform that reads it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

DATA = Path(os.environ.get("HYTHE_DATA", "/var/lib/hythe"))
RUN = Path(os.environ.get("HYTHE_RUN", str(DATA / "run")))
ENGINE_SOCKET = os.environ.get("HYTHE_ENGINE_SOCKET", str(RUN / "engine.sock"))
REDIS_URL = os.environ.get("REDIS_URL", f"unix://{RUN}/redis.sock?db=0")
DATABASE_URL = os.environ.get("DATABASE_URL", "")
PUBLIC_URL = os.environ.get("HYTHE_PUBLIC_URL", "")
ALLOWED_HOSTS = [name for name in os.environ.get("HYTHE_ALLOWED_HOSTS", "").split(",") if name]


def secret_key() -> str:
    """Return the key that signs sessions; made at the first start, readable by its owner."""
    path = DATA / "platform" / "secret_key"
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        key = secrets.token_urlsafe(48)
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:  # another process of the same start was faster
            return path.read_text(encoding="ascii")
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(key)
        return key

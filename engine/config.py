"""Settings of one engine instance; the only place of the engine that reads the environment."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_ROOT = Path("/var/lib/hythe")
DEFAULT_RUN = Path("/run/hythe")


@dataclass(frozen=True)
class Settings:
    """Where one engine keeps its things, and names that must not collide with another's.

    Shape: <root>/engine/{engine.db,content/,snapshots/,containers/,volumes/} survives reboots;
           <run>/{engine.sock,containers/<id>/} does not.
    """

    root: Path
    run: Path

    @classmethod
    def from_environment(cls) -> Settings:
        """Read HYTHE_DATA (one directory for everything) or take the system's defaults."""
        data = os.environ.get("HYTHE_DATA")
        if data:
            return cls.for_data(Path(data))
        return cls(DEFAULT_ROOT, DEFAULT_RUN)

    @classmethod
    def for_data(cls, data: Path) -> Settings:
        """Keep everything below `data`; the socket is <data>/run/engine.sock."""
        data = data.resolve()
        if data == DEFAULT_ROOT:
            return cls(DEFAULT_ROOT, DEFAULT_RUN)
        return cls(data, data / "run")

    @property
    def state(self) -> Path:
        """Return the directory of all that survives a reboot."""
        return self.root / "engine"

    @property
    def socket(self) -> Path:
        """Return the unix socket of the API."""
        return self.run / "engine.sock"

    @property
    def database(self) -> Path:
        """Return the SQLite file."""
        return self.state / "engine.db"

    @property
    def instance(self) -> str:
        """Return six hex digits that tell this instance from others on the machine."""
        return hashlib.sha256(os.fsencode(self.root)).hexdigest()[:6]

    @property
    def bridge(self) -> str:
        """Return the interface name of the default bridge network (15 characters at most)."""
        return "hythe0" if self.root == DEFAULT_ROOT else f"hythe-{self.instance}"

    @property
    def firewall_table(self) -> str:
        """Return the name of this instance's nftables table."""
        return f"hythe_{self.instance}"

    @property
    def cgroup_parent(self) -> str:
        """Return the group, below each hierarchy's root, that holds all containers."""
        return f"hythe-{self.instance}"

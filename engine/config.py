"""Settings of one engine instance; the only place of the engine that reads the environment."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from engine.core.errors import InvalidArgument

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
    id_map: tuple[int, int] | None = None  # users of containers: first ID on the host, how many
    address_pools: str = ""  # where networks take their subnets from; "" for Docker's own pools

    @classmethod
    def from_environment(cls) -> Settings:
        """Read HYTHE_DATA (one directory for everything) or take the system's defaults."""
        return cls.for_data(Path(os.environ.get("HYTHE_DATA") or DEFAULT_ROOT))

    @classmethod
    def for_data(cls, data: Path) -> Settings:
        """Keep everything below `data`; the socket is <data>/run/engine.sock.

        HYTHE_USERNS_REMAP ("default" or "100000:65536") gives containers users of their own,
        HYTHE_ADDRESS_POOLS ("10.10.0.0/16:24,fd00:1::/48:64") their networks' subnets.
        Raises: InvalidArgument(not a map).
        """
        data = data.resolve()
        run = DEFAULT_RUN if data == DEFAULT_ROOT else data / "run"
        pools = os.environ.get("HYTHE_ADDRESS_POOLS") or ""
        return cls(data, run, _id_map(os.environ.get("HYTHE_USERNS_REMAP") or ""), pools)

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


def _id_map(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    base, _, size = ("100000:65536" if text == "default" else text).partition(":")
    if not (base.isdigit() and size.isdigit() and int(base) > 0 and int(size) > 0):
        raise InvalidArgument(
            f"HYTHE_USERNS_REMAP: {text!r} is neither 'default' nor 'first:count'"
        )
    return int(base), int(size)

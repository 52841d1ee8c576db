"""One volume, and what may be asked of the local driver."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from engine.core.errors import InvalidArgument, NotFound

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_OPTIONS = frozenset({"type", "o", "device", "size"})


@dataclass
class Volume:
    """One volume; `options` are the local driver's: what is mounted, or a quota."""

    name: str
    mountpoint: str
    created: str
    labels: dict[str, str] = field(default_factory=dict)
    anonymous: bool = False
    options: dict[str, str] = field(default_factory=dict)

    @property
    def is_mounted(self) -> bool:
        """Tell whether something is to be mounted on its directory while it is used."""
        return bool(self.options.get("device"))

    def to_json(self) -> dict[str, Any]:
        """Return Docker's description."""
        return {
            "Name": self.name,
            "Driver": "local",
            "Mountpoint": self.mountpoint,
            "CreatedAt": self.created,
            "Labels": self.labels or None,
            "Options": self.options or None,
            "Scope": "local",
        }


def check_name(name: str) -> None:
    """Raise InvalidArgument for what cannot be a volume's name."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, '
            'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host '
            "directory, use absolute path"
        )


def check_driver(driver: str) -> None:
    """Raise NotFound for a driver other than the local one."""
    if driver not in ("", "local"):
        raise NotFound(f'error looking up volume plugin {driver}: plugin "{driver}" not found')


def check_options(name: str, options: dict[str, str]) -> None:
    """Judge the local driver's options. Raises: InvalidArgument."""
    for key in options:
        if key not in _OPTIONS:
            raise InvalidArgument(f'create {name}: invalid option: "{key}"')
    if options.keys() & {"type", "o", "device"}:
        for key in ("device", "type"):
            if not options.get(key):
                raise InvalidArgument(f'create {name}: missing required option: "{key}"')
    if "size" in options and options.get("device"):
        raise InvalidArgument(f"create {name}: a size can only be given without a device")

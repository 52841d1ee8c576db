"""What a writable layer changed, read from its own directory: no mount, no second tree.

Source: kernel Documentation/filesystems/overlayfs.rst: a character device 0/0 hides what is below
(a whiteout), the attribute trusted.overlay.opaque hides a directory's whole content below.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Places that the runtime makes in every root; they are nobody's change.
RUNTIME_PLACES = frozenset(
    "/.dockerenv /dev /dev/console /dev/mqueue /dev/pts /dev/shm /etc/hostname /etc/hosts "
    "/etc/resolv.conf /proc /sbin/docker-init /sys".split()
)
_MADE_FOR_THEM = frozenset(("/etc", "/sbin"))


DEEPEST = 300  # directories below one another that are compared


class Kind(IntEnum):
    """How a path differs, in the numbers of the API."""

    CHANGED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True)
class Change:
    """One path that differs; `source` is its place in the writable layer."""

    path: str
    kind: Kind
    source: str
    opaque: bool = False


def is_whiteout(found: os.stat_result) -> bool:
    """Tell whether a file stands for something that is gone."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path: str) -> bool:
    """Tell whether a directory hides what is below it."""
    try:
        return os.getxattr(path, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False


def changes(layers: list[str]) -> Iterator[Change]:
    """Yield every change of `layers[0]` against the layers below it, parents before children."""
    upper, *lower = layers
    yield from _walk("", upper, lower, 0)


def _walk(path: str, upper: str, lower: list[str], depth: int) -> Iterator[Change]:
    if depth > DEEPEST:
        raise OSError(errno.ENAMETOOLONG, "directories are nested too deeply", path[:100] + "…")
    for name in sorted(os.listdir(upper)):
        place, source = f"{path}/{name}", f"{upper}/{name}"
        try:
            found = os.lstat(source)
        except FileNotFoundError:  # the container is at work
            continue
        below = _below(lower, name)
        if is_whiteout(found):
            if below:
                yield Change(place, Kind.DELETED, source)
            continue
        if not below and place in RUNTIME_PLACES:
            continue
        if not stat.S_ISDIR(found.st_mode):
            yield Change(place, Kind.CHANGED if below else Kind.ADDED, source)
            continue
        opaque = is_opaque(source)
        children = list(_walk(place, source, [] if opaque else _directories(below), depth + 1))
        if below:
            if children or opaque or _differs(found, below[0]):
                yield Change(place, Kind.CHANGED, source, opaque)
        elif children or place not in _MADE_FOR_THEM:
            yield Change(place, Kind.ADDED, source)
        yield from children


def _below(lower: list[str], name: str) -> list[str]:
    """Return where the layers below have `name`, down to the first that hides the rest."""
    result = []
    for directory in lower:
        place = f"{directory}/{name}"
        try:
            found = os.lstat(place)
        except FileNotFoundError:
            continue
        if is_whiteout(found):
            break
        result.append(place)
        if not stat.S_ISDIR(found.st_mode) or is_opaque(place):
            break
    return result


def _directories(places: list[str]) -> list[str]:
    result = []
    for place in places:
        if os.path.islink(place) or not os.path.isdir(place):
            break
        result.append(place)
    return result


def _differs(found: os.stat_result, below: str) -> bool:
    # Times are left out: making a file that is not shown changes its directory's.
    other = os.lstat(below)
    return (found.st_mode, found.st_uid, found.st_gid) != (
        other.st_mode,
        other.st_uid,
        other.st_gid,
    )

"""Who a process runs as: looked up in the container's own /etc/passwd and /etc/group."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

HIGHEST = 2**31 - 1  # the kernel takes 2**32 - 1 for "as it is"
MOST = 1 << 22  # bytes of an account file that are looked at


@dataclass(frozen=True)
class User:
    """Numeric identity of a process."""

    uid: int
    gid: int
    groups: list[int]
    home: str


def resolve_user(text: str, group_add: tuple[str, ...]) -> User | None:
    """Return who `text` means ("", "name", "uid", either with ":group"); None when unknown.

    Numbers need no entry. Supplementary groups come from /etc/group unless a group is named, as
    the Docker Engine does. Reads the files of the caller's root.
    """
    name, _, group = (text or "0").partition(":")
    entry = _find_user(name)
    if entry is None and not _is_number(name):
        return None
    if entry and not _is_number(entry[3]):
        return None
    uid = int(entry[2]) if entry else int(name)
    gid = int(entry[3]) if entry else 0
    extra: list[int] = []
    home = entry[5] if entry else "/"
    groups = _records("/etc/group", 4)
    if group:
        found = _group_id(group, groups)
        if found is None:
            return None
        gid = found
    elif entry:
        extra = [int(row[2]) for row in groups if entry[0] in row[3].split(",")]
    for word in group_add:
        found = _group_id(word, groups)
        if found is None:
            return None
        extra.append(found)
    if max(uid, gid, *extra) > HIGHEST:
        return None
    return User(uid, gid, [*dict.fromkeys([gid, *extra])], home or "/")


def _find_user(name: str) -> list[str] | None:
    rows = _records("/etc/passwd", 7)
    by_name = (row for row in rows if row[0] == name)
    by_number = (row for row in rows if _is_number(name) and row[2] == name)
    return next(by_name, None) or next(by_number, None)


def _group_id(name: str, rows: list[list[str]]) -> int | None:
    for row in rows:
        if name in (row[0], row[2]):
            return int(row[2])
    return int(name) if _is_number(name) else None


def _records(path: str, fields: int) -> list[list[str]]:
    """Return the well-formed lines of an account file; a missing file has none.

    The container may have put anything there: a pipe must not be waited for, nor a device read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return []
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return []
        text = file.read(MOST).decode("utf-8", "replace")
    rows = [line.split(":") for line in text.splitlines()]
    return [row for row in rows if len(row) >= fields and _is_number(row[2])]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()

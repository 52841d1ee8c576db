"""Who a process runs as: looked up in the container's own /etc/passwd and /etc/group."""

from __future__ import annotations

from dataclasses import dataclass


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
    if entry is None and not name.isdigit():
        return None
    uid = int(entry[2]) if entry else int(name)
    gid = int(entry[3]) if entry else 0
    home = entry[5] if entry else "/"
    groups = _records("/etc/group", 4)
    extra: list[int] = []
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
    return User(uid, gid, [*dict.fromkeys([gid, *extra])], home or "/")


def _find_user(name: str) -> list[str] | None:
    rows = _records("/etc/passwd", 7)
    by_name = (row for row in rows if row[0] == name)
    by_number = (row for row in rows if name.isdigit() and row[2] == name)
    return next(by_name, None) or next(by_number, None)


def _group_id(name: str, rows: list[list[str]]) -> int | None:
    for row in rows:
        if name in (row[0], row[2]):
            return int(row[2])
    return int(name) if name.isdigit() else None


def _records(path: str, fields: int) -> list[list[str]]:
    """Return the well-formed lines of an account file; a missing file has none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            rows = [line.rstrip("\n").split(":") for line in file]
    except OSError:
        return []
    return [row for row in rows if len(row) >= fields and row[2].isdigit()]

"""Stamps: work whose inputs have not changed is not done again."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from launcher.instance import TREE, VENV
from launcher.report import LauncherError

STAMPS = VENV / ".hythe"
SKIPPED = {"node_modules", "dist", "__pycache__"}


def fingerprint(paths: Iterable[Path]) -> str:
    """Return a digest of the files' names and contents; directories count with all below."""
    digest = hashlib.sha256()
    for path in paths:
        for file in _files(path):
            digest.update(f"{file.relative_to(TREE)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def fresh(name: str, value: str) -> bool:
    """Tell whether the work `name` was last finished with these inputs."""
    try:
        return (STAMPS / name).read_text() == value
    except FileNotFoundError:
        return False


def finish(name: str, value: str) -> None:
    """Note that the work `name` is finished for these inputs."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / name).write_text(value)


@contextmanager
def tree_lock() -> Iterator[None]:
    """Let one launcher at a time prepare the tree; others wait and find it prepared."""
    descriptor = os.open(TREE, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    except PermissionError as error:
        if not os.access(TREE, os.W_OK):
            raise LauncherError(f"{TREE} is not writable for you and not prepared yet.") from error
        raise
    finally:
        os.close(descriptor)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = []
    for directory, names, files in os.walk(path):
        names[:] = sorted(name for name in names if name not in SKIPPED)
        found += [Path(directory, file) for file in sorted(files) if not file.endswith(".pyc")]
    return found

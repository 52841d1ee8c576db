"""Directory trees of any depth: a container can nest directories deeper than any stack."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

DEEPEST = 200  # directories held open at once
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str | os.PathLike[str]) -> None:
    """Remove a directory and all in it; one that is not there is fine. Never follows a link.

    Directories that are not empty are moved up to the top before they are emptied, so neither
    recursion nor long paths come up. What is mounted somewhere in it is left alone: a mount point
    cannot be moved. Raises: OSError(busy, immutable).
    """
    try:
        top = os.open(path, _FLAGS)
    except FileNotFoundError:
        return
    try:
        number = 0
        pending = _clear(top, ".", 0)[0]
        while pending:
            name = pending.pop()
            moved, number = _clear(top, name, number)
            pending += moved
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)


def _clear(top: int, name: str, number: int) -> tuple[list[str], int]:
    """Empty the directory `name`; what is not empty in it is moved to the top and returned."""
    moved = []
    directory = os.open(name, _FLAGS, dir_fd=top)
    try:
        if os.fstat(directory).st_dev != os.fstat(top).st_dev:
            raise OSError(errno.EBUSY, "something is mounted here", name)
        for entry in os.listdir(directory):
            if not stat.S_ISDIR(os.lstat(entry, dir_fd=directory).st_mode):
                os.unlink(entry, dir_fd=directory)
                continue
            try:
                os.rmdir(entry, dir_fd=directory)
                continue
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            if name == ".":
                moved.append(entry)
                continue
            while True:
                number += 1
                new = f".removed-{number}"
                try:
                    os.rename(entry, new, src_dir_fd=directory, dst_dir_fd=top)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                        raise
                else:
                    break
            moved.append(new)
    finally:
        os.close(directory)
    return moved, number


def discard_tree(path: str | os.PathLike[str]) -> None:
    """Remove a directory as far as it can be removed; a later sweep finds the rest."""
    with contextlib.suppress(OSError):
        remove_tree(path)


def total_size(path: str) -> int:
    """Return the bytes of all files below a directory; what vanishes meanwhile counts nothing.

    Links are not followed, also those that somebody puts in a directory's place meanwhile; what
    lies deeper than DEEPEST is not counted.
    """
    total, stack = 0, []
    with contextlib.suppress(OSError):
        stack.append(_entries(os.open(path, _FLAGS)))
    while stack:
        fd, names = stack[-1]
        if not names:
            os.close(fd)
            stack.pop()
            continue
        name = names.pop()
        with contextlib.suppress(OSError):
            found = os.lstat(name, dir_fd=fd)
            if not stat.S_ISDIR(found.st_mode):
                total += found.st_size
            elif len(stack) < DEEPEST:
                stack.append(_entries(os.open(name, _FLAGS, dir_fd=fd)))
    return total


def _entries(fd: int) -> tuple[int, list[str]]:
    return fd, os.listdir(fd)

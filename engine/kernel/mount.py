"""Mounts: what is to be attached where, and the system calls that do it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mount:
    """One mount to be made: mount(2)'s arguments, with options as `mount -o` words.

    Shape: bind mounts have fstype "bind" and options such as ("rbind", "ro", "rprivate").
    """

    fstype: str
    source: str
    target: str
    options: tuple[str, ...] = ()

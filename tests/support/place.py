"""A place of its own for every test run: addresses, ports and names that no other run has."""

from __future__ import annotations

import fcntl
import os
import tempfile

RUNS = 20  # that may be on one machine at once


def _claim() -> tuple[int, int]:
    """Return a number that no other run has, and the descriptor that holds it."""
    for number in range(RUNS):
        path = f"{tempfile.gettempdir()}/hythe-test-place-{number}"
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
        else:
            return number, fd
    raise RuntimeError(f"more than {RUNS} test runs at once")


PLACE, _HELD = _claim()
LAN = f"10.{128 + PLACE}"  # the first half of addresses inside of networks
PORTS = 20000 + PLACE * 600  # the first of 600 ports
# Beside this machine: of the block for measurements, which no machine uses for itself.
OUT = tuple(f"198.18.{PLACE * 4 + number}" for number in range(4))
SIX = f"fd00:{0x7700 + PLACE:x}"
OUT_SIX = f"2001:db8:{0x7700 + PLACE:x}"


def device(name: str) -> str:
    """Return the name of a network device or namespace."""
    return f"hy{PLACE}{name}"

"""What the launcher says: one line per step, with its time, and one way to fail."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

TAIL_LINES = 25


class LauncherError(Exception):
    """Something the person at the terminal must know or do; printed without a traceback."""


def say(text: str = "") -> None:
    """Print one line at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a piece of work, then its time or that it failed."""
    started = time.monotonic()
    interactive = sys.stdout.isatty()
    if interactive:
        sys.stdout.write(f"  … {title}")
        sys.stdout.flush()
    else:
        say(f"  ... {title}")
    back = "\r\033[K" if interactive else ""
    try:
        yield
    except BaseException:
        say(f"{back}  {_mark('x', 31)} {title}  {_elapsed(started)}")
        raise
    say(f"{back}  {_mark('+', 32)} {title}  {_elapsed(started)}")


def run(command: Sequence[str], *, what: str, **options: object) -> None:
    """Run a quiet command; its last lines are shown only when it fails.

    Raises: LauncherError(the command ended with another status than 0).
    """
    result = subprocess.run(  # type: ignore[call-overload]
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **options,
    )
    if result.returncode:
        lines = result.stdout.decode(errors="replace").splitlines()[-TAIL_LINES:]
        detail = "\n".join(f"    {line}" for line in lines)
        raise LauncherError(f"{what} failed (status {result.returncode}):\n{detail}")


def _elapsed(started: float) -> str:
    seconds = time.monotonic() - started
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _mark(character: str, colour: int) -> str:
    return f"\033[{colour}m{character}\033[0m" if sys.stdout.isatty() else character

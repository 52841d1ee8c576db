"""`python -m engine`, killed by itself at a named point once a file says so.

Run as `python -m tests.support.crash POINT FILE ARGUMENTS…`. A point is "module:name:before" or
":after", a function or method of the engine; the process kills itself with SIGKILL when that is
about to be called, or has just returned, and FILE exists.
"""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import sys
from functools import wraps
from typing import Any


def _crash(armed: str) -> None:
    if os.path.exists(armed):
        os.kill(os.getpid(), signal.SIGKILL)


def plant(point: str, armed: str) -> None:
    """Replace the function that a point names by one that crashes."""
    module, path, moment = point.split(":")
    owner: Any = importlib.import_module(module)
    *above, name = path.split(".")
    for part in above:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    before = moment == "before"

    if inspect.iscoroutinefunction(original):

        @wraps(original)
        async def planted(*args: Any, **words: Any) -> Any:
            if before:
                _crash(armed)
            result = await original(*args, **words)
            _crash(armed)
            return result
    else:

        @wraps(original)
        def planted(*args: Any, **words: Any) -> Any:
            if before:
                _crash(armed)
            result = original(*args, **words)
            _crash(armed)
            return result

    setattr(owner, name, planted)


def main() -> None:
    """Plant the crash and be the engine."""
    point, armed, *rest = sys.argv[1:]
    plant(point, armed)
    engine = importlib.import_module("engine.__main__")
    sys.argv = ["engine", *rest]
    sys.exit(engine.main())


if __name__ == "__main__":
    main()

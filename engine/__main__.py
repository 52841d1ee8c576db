"""`python -m engine [--data DIR]`: the engine alone, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from engine.config import Settings
from engine.core.errors import EngineError
from engine.daemon import serve


def main() -> int:
    """Parse the flags and serve; return the exit code."""
    parser = argparse.ArgumentParser(prog="engine", description=__doc__)
    parser.add_argument("--data", type=Path, help="keep everything below this directory")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if os.geteuid() != 0:
        sys.stderr.write("engine: needs root: namespaces, cgroups and mounts are made by it\n")
        return 1
    try:
        settings = Settings.for_data(options.data) if options.data else Settings.from_environment()
        asyncio.run(serve(settings))
    except EngineError as error:
        sys.stderr.write(f"engine: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

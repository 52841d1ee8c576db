"""`manage.py observe`: the observer process."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any

from django.core.management.base import BaseCommand

from environments.observer import observe


class Command(BaseCommand):
    """Follows the engines until it is told to stop."""

    help = "Follow the engines' events."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        asyncio.run(_until_told_to_stop())


async def _until_told_to_stop() -> None:
    work = asyncio.ensure_future(observe())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return

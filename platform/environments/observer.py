"""The observer: follows every environment's engine and notes what it learns."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import httpx
from asgiref.sync import sync_to_async

from engine.client.client import VERSION
from environments.services import ensure_local, mark_down, mark_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from environments.models import Environment

log = logging.getLogger(__name__)
FIRST_DELAY = 0.5  # seconds before the engine is tried again, doubled each time
LONGEST_DELAY = 15.0


async def observe() -> None:
    """Run until cancelled."""
    environment = await sync_to_async(ensure_local)()
    delay = FIRST_DELAY
    while True:
        try:
            async for _event in _events(environment):
                delay = FIRST_DELAY
        except httpx.HTTPError as error:
            log.warning("%s: %s", environment.name, error or type(error).__name__)
        await sync_to_async(mark_down)(environment)
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_DELAY)


async def _events(environment: Environment) -> AsyncIterator[dict[str, Any]]:
    """Yield the engine's events as long as it lives."""
    transport = httpx.AsyncHTTPTransport(uds=environment.socket)
    base = f"http://engine/{VERSION}"
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        version = (await client.get("/version", timeout=5)).raise_for_status().json()
        timeout = httpx.Timeout(None, connect=5)
        async with client.stream("GET", "/events", timeout=timeout) as response:
            await sync_to_async(mark_up)(environment, version["Version"])
            log.info("%s is up: %s", environment.name, version["Version"])
            async for line in response.aiter_lines():
                if line.strip():
                    yield json.loads(line)

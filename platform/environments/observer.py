"""The observer: follows every environment's engine and tells the browsers what changed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from common.realtime import environment_events, publish
from engine.client.aio import AsyncEngineClient
from engine.client.client import EngineRefused, EngineUnreachable
from environments.services import ensure_local, mark_down, mark_up

if TYPE_CHECKING:
    from environments.models import Environment

log = logging.getLogger(__name__)
FIRST_DELAY = 0.5  # seconds before the engine is tried again, doubled each time
LONGEST_DELAY = 15.0
# Acts that change nothing which a list shows.
SILENT = ("exec_", "attach", "detach", "top", "resize", "copy", "export", "archive-path")


async def observe() -> None:
    """Run until cancelled."""
    environment = await sync_to_async(ensure_local)()
    delay = FIRST_DELAY
    was_up = False
    while True:
        try:
            async with AsyncEngineClient(environment.socket) as engine:
                version = await engine.call("GET", "/version")
                await sync_to_async(mark_up)(environment, version["Version"])
                await _tell(environment, _about_itself(environment, "up"))
                log.info("%s is up: %s", environment.name, version["Version"])
                was_up, delay = True, FIRST_DELAY
                async for event in engine.events():
                    await _tell(environment, event)
        except (EngineUnreachable, EngineRefused) as error:
            log.warning("%s: %s", environment.name, error)
        await sync_to_async(mark_down)(environment)
        if was_up:
            await _tell(environment, _about_itself(environment, "down"))
            was_up = False
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_DELAY)


def _about_itself(environment: Environment, action: str) -> dict[str, Any]:
    return {"Type": "environment", "Action": action, "Actor": {"ID": environment.name}}


async def _tell(environment: Environment, event: dict[str, Any]) -> None:
    """Publish what changed: names of what to read again, never its content."""
    action = str(event.get("Action", ""))
    if action.startswith(SILENT):
        return
    actor = event.get("Actor") or {}
    found = {
        "type": event.get("Type"),
        "action": action,
        "id": actor.get("ID", ""),
        "name": (actor.get("Attributes") or {}).get("name", ""),
        "time": event.get("time"),
    }
    message = {
        "topic": "events",
        "environment": environment.name,
        "keys": keys_of(found["type"], found["id"], found["name"]),
        "event": found,
    }
    await publish(environment_events(environment.pk), message)


def keys_of(kind: str | None, identity: str, name: str) -> list[list[str]]:
    """Return what an event makes stale, as the dashboard names its queries."""
    match kind:
        case "container":
            return [["containers"], ["container", identity], ["container", name], ["summary"]]
        case "image":
            return [["images"], ["summary"]]
        case "environment":
            return [[]]
        case _:
            return [[f"{kind}s"]]

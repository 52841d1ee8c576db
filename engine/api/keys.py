"""What every route reaches through the application."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from engine.config import Settings
    from engine.containers.deps import Containers
    from engine.containers.sampler import Sampler
    from engine.core.events import EventBus
    from engine.images.images import Images
    from engine.networks.networks import Networks
    from engine.networks.sandboxes import Sandboxes
    from engine.runtime.runtime import Runtime
    from engine.volumes.volumes import Volumes


@dataclass
class Services:
    """Every service of the engine, built once by the daemon."""

    settings: Settings
    events: EventBus
    images: Images
    networks: Networks
    sandboxes: Sandboxes
    volumes: Volumes
    runtime: Runtime
    containers: Containers
    sampler: Sampler


SERVICES: web.AppKey[Services] = web.AppKey("services")
API_VERSION = "1.51"
MINIMUM_API_VERSION = "1.24"


def flag(request: web.Request, name: str, *, default: bool = False) -> bool:
    """Return a boolean query parameter as the Docker Engine reads it."""
    value = request.query.get(name)
    if value is None:
        return default
    return value.strip().lower() not in ("", "0", "no", "false", "none")


def json_response(value: object, status: int = 200) -> web.Response:
    """Return JSON; the CLI reads an error only when the type is bare, without a charset."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, content_type="application/json")

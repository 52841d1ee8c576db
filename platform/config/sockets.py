"""Every websocket of the platform."""

from __future__ import annotations

from django.urls import path

from environments.api.sockets import LiveConsumer
from workloads.api.sockets import ConsoleConsumer, LogsConsumer, StatsConsumer, UnknownConsumer

_CONTAINER = "ws/environments/<str:environment>/containers/<str:ref>"

routes = [
    path("ws/live", LiveConsumer.as_asgi()),
    path(f"{_CONTAINER}/logs", LogsConsumer.as_asgi()),
    path(f"{_CONTAINER}/stats", StatsConsumer.as_asgi()),
    path(f"{_CONTAINER}/console", ConsoleConsumer.as_asgi()),
    path("<path:rest>", UnknownConsumer.as_asgi()),
]

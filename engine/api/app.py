"""The HTTP application: all routes, bare and under every supported version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

from engine.api import containers, errors, execs, images, networks, system, volumes
from engine.api.keys import API_VERSION, MINIMUM_API_VERSION, SERVICES, Services
from engine.core.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MAXIMUM_BODY = 16 * 1024 * 1024  # bytes of a JSON body; streams are not limited by it
_VERSION = re.compile(r"^/v(\d+)\.(\d+)/")


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


@web.middleware
async def check_version(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse versions that this engine does not speak, in the CLI's words."""
    if match := _VERSION.match(request.path):
        version = f"{match[1]}.{match[2]}"
        if _number(version) > _number(API_VERSION):
            raise InvalidArgument(
                f"client version {version} is too new. Maximum supported API version is "
                f"{API_VERSION}"
            )
        if _number(version) < _number(MINIMUM_API_VERSION):
            raise InvalidArgument(
                f"client version {version} is too old. Minimum supported API version is "
                f"{MINIMUM_API_VERSION}, please upgrade your client to a newer version"
            )
    return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Say on every answer who speaks."""
    request[errors.BEGUN] = True
    response.headers["Api-Version"] = API_VERSION
    response.headers["Docker-Experimental"] = "false"
    response.headers["Ostype"] = "linux"
    response.headers["Server"] = "Hythe/0.1.0 (linux)"


def make_app(services: Services) -> web.Application:
    """Return the application with every route file's routes."""
    app = web.Application(
        middlewares=[errors.translate, check_version], client_max_size=MAXIMUM_BODY
    )
    app[SERVICES] = services
    app.on_response_prepare.append(add_headers)
    for module in (system, containers, execs, images, networks, volumes):
        for route in module.routes:
            if isinstance(route, web.RouteDef):
                for path in (route.path, r"/v{version:\d+\.\d+}" + route.path):
                    app.router.add_route(route.method, path, route.handler)
    return app

"""Errors to statuses: the one place where the engine's errors meet HTTP."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from engine.api.keys import json_response
from engine.api.streams import NoResponse
from engine.core import errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

BEGUN = "begun"  # set on a request whose answer's head is out
STATUSES: tuple[tuple[type[errors.EngineError], int], ...] = (
    (errors.NotFound, 404),
    (errors.InvalidArgument, 400),
    (errors.Conflict, 409),
    (errors.NotModified, 304),
    (errors.Forbidden, 403),
    (errors.Unavailable, 503),
    (errors.Unsupported, 501),
    (errors.DataLoss, 500),
    (errors.Internal, 500),
)


def status_of(error: errors.EngineError) -> int:
    """Return the HTTP status for an error."""
    if isinstance(error, errors.StartFailed):
        # As the Docker Engine: the user's program is at fault (400), or the engine (500).
        return 400 if error.exit_code in (126, 127) else 500
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def answer(status: int, message: str) -> web.Response:
    """Return an error in the API's shape."""
    if status == 304:
        return web.Response(status=304)
    return json_response({"message": message}, status=status)


def _cut_off(request: web.Request, error: Exception) -> web.StreamResponse:
    """End an answer that has begun so that the client sees that it is not whole."""
    log.warning("%s %s was cut off: %s", request.method, request.path, error)
    request.protocol.force_close()
    return NoResponse()


@web.middleware
async def translate(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn whatever a route raises into an answer; the unexpected is logged once, here."""
    try:
        return await handler(request)
    except errors.EngineError as error:
        if request.get(BEGUN):
            return _cut_off(request, error)
        return answer(status_of(error), str(error))
    except web.HTTPException as error:
        text = "page not found" if error.status == 404 else error.reason
        return answer(error.status, text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return answer(400, f"invalid JSON: {error}")
    except (ConnectionResetError, BrokenPipeError):
        # The client hung up in the middle: nobody is left to be answered, and nothing is wrong.
        log.debug("%s %s: the client hung up", request.method, request.path)
        request.protocol.force_close()
        return NoResponse()
    except Exception as error:
        log.exception("%s %s failed", request.method, request.path)
        if request.get(BEGUN):
            return _cut_off(request, error)
        return answer(500, f"{type(error).__name__}: {error}")

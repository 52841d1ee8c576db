"""A number for every request, told to the client and written to the log."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from django.http import HttpRequest, HttpResponse


class RequestIdMiddleware:
    """Sets `request.request_id` and the X-Request-Id header."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Number one request."""
        request.request_id = uuid.uuid4().hex[:16]  # type: ignore[attr-defined]
        response = await self._get_response(request)
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        return response

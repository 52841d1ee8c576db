"""Errors as answers: one shape, whoever raised them."""

from __future__ import annotations

import logging
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response

from common.errors import AppError

log = logging.getLogger(__name__)


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an error raised by a view; None leaves the unexpected to Django (500, logged)."""
    request_id = getattr(context["request"], "request_id", "")
    headers: dict[str, str] = {}
    body: dict[str, Any]
    if isinstance(error, AppError):
        code = error.status
        body = {"code": error.code, "message": error.message, **error.extra}
        if error.fields:
            body["fields"] = error.fields
        if wait := error.extra.get("retry_after"):
            headers["Retry-After"] = str(wait)
    elif isinstance(error, exceptions.ValidationError):
        code = status.HTTP_400_BAD_REQUEST
        body = {"code": "invalid", "message": "Some fields are not valid.", "fields": error.detail}
    elif isinstance(error, Http404):
        code, body = 404, {"code": "not_found", "message": "There is no such object."}
    elif isinstance(error, exceptions.APIException):
        code = error.status_code
        body = {"code": str(error.default_code), "message": str(error.detail)}
        if challenge := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = challenge
    else:
        return None
    return Response({"error": {**body, "request_id": request_id}}, code, headers=headers)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a request that lacks its CSRF token."""
    body = {"code": "csrf", "message": f"CSRF check failed: {reason}"}
    return JsonResponse(
        {"error": {**body, "request_id": getattr(request, "request_id", "")}}, status=403
    )

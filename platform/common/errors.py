"""The platform's errors: a code for programs, a sentence for people, a status for HTTP."""

from __future__ import annotations


class AppError(Exception):
    """A refusal that is told to whoever asked.

    Shape: answered as {"error": {code, message, fields?, …extra, request_id}}.
    """

    status = 400
    code = "invalid"

    def __init__(
        self, message: str, *, fields: dict[str, list[str]] | None = None, **extra: object
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields
        self.extra = extra


class Invalid(AppError):
    """The request cannot be understood."""


class Missing(AppError):
    """The object does not exist, or must not be known to exist."""

    status = 404
    code = "not_found"


class Forbidden(AppError):
    """The permission is missing."""

    status = 403
    code = "forbidden"


class Conflict(AppError):
    """The object's state forbids it."""

    status = 409
    code = "conflict"


class TooMany(AppError):
    """Asked too often."""

    status = 429
    code = "throttled"


class Unreachable(AppError):
    """An engine does not answer."""

    status = 503
    code = "engine_unreachable"

"""Who sends a request: a session's cookie or a token in the header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions

from accounts.models import User
from accounts.services import PREFIX, user_of_token
from audit.services import Actor

if TYPE_CHECKING:
    from rest_framework.request import Request


class SessionAuthentication(authentication.SessionAuthentication):
    """A session, with the CSRF check that cookies need; unauthenticated is 401, not 403."""

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge."""
        del request
        return "Session"


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer hythe_…`."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        """Return the token's user, None when another scheme may apply. Raises 401."""
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        user = user_of_token(secret) if secret.startswith(PREFIX) else None
        if user is None:
            raise exceptions.AuthenticationFailed("This token is not valid.")
        return user, None

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge."""
        del request
        return "Bearer"


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the token in the schema."""

    target_class = "accounts.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return OpenAPI's words."""
        del auto_schema
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the session in the schema."""

    target_class = "accounts.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return OpenAPI's words."""
        del auto_schema
        return {"type": "apiKey", "in": "cookie", "name": "hythe_session"}


def address_of(request: Request) -> str | None:
    """Return the client's address; forwarded headers are claims and are not believed."""
    return request.META.get("REMOTE_ADDR") or None


def actor_of(request: Request) -> Actor:
    """Return who acts, for the audit trail."""
    user = user_of(request)
    return Actor(user, user.username, address_of(request))


def user_of(request: Request) -> User:
    """Return who is signed in. Raises: NotAuthenticated."""
    if not isinstance(request.user, User):
        raise exceptions.NotAuthenticated
    return request.user

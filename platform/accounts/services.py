"""Setup, sign-in and tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.models import ApiToken, SetupToken, User
from audit.services import Actor, record
from common.errors import Conflict, Forbidden, Invalid, TooMany
from common.permissions import Permission

if TYPE_CHECKING:
    from django.http import HttpRequest

PREFIX = "hythe_"
ATTEMPTS = 10  # failed sign-ins per account or address within WINDOW
WINDOW = 300  # seconds
USED_EVERY = timedelta(minutes=1)  # how exactly a token's last use is kept


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def setup_required() -> bool:
    """Tell whether there is no administrator yet."""
    return not User.objects.filter(is_superuser=True).exists()


@transaction.atomic
def new_setup_token() -> str:
    """Return a fresh one-time token; earlier ones are void. Raises: Conflict(set up already)."""
    if not setup_required():
        raise Conflict("An administrator exists already.")
    SetupToken.objects.all().delete()
    secret = secrets.token_urlsafe(32)
    SetupToken.objects.create(digest=_digest(secret))
    return secret


@transaction.atomic
def complete_setup(*, token: str, username: str, password: str, address: str | None) -> User:
    """Make the first administrator with the one-time token.

    Raises: Forbidden(wrong or used token) · Invalid(password, name).
    """
    stored = SetupToken.objects.select_for_update().first()
    if stored is None or not hmac.compare_digest(stored.digest, _digest(token)):
        raise Forbidden("This setup link is not valid, or it was used already.")
    user = create_administrator(username=username, password=password)
    record(
        actor=Actor(user, user.username, address),
        permission=Permission.SETUP_COMPLETE,
        target=user.username,
    )
    return user


@transaction.atomic
def create_administrator(*, username: str, password: str) -> User:
    """Make the first administrator. Raises: Conflict(there is one) · Invalid(password, name)."""
    if not setup_required():
        raise Conflict("An administrator exists already.")
    user = User(username=username, is_superuser=True)
    user.set_password(password)
    try:
        user.full_clean()
        validate_password(password, user)
    except ValidationError as error:
        fields = (
            error.message_dict if hasattr(error, "error_dict") else {"password": error.messages}
        )
        raise Invalid("The account cannot be made like this.", fields=fields) from error
    user.save()
    SetupToken.objects.all().delete()
    return user


def sign_in(request: HttpRequest, *, username: str, password: str, address: str | None) -> User:
    """Return the user whose password this is.

    An unknown name takes as long as a wrong password: Django hashes for both.
    Raises: TooMany · Invalid(one sentence, whichever of the two was wrong).
    """
    keys = [f"sign-in:account:{username.lower()}", f"sign-in:address:{address}"]
    if any(int(cache.get(key) or 0) >= ATTEMPTS for key in keys):
        raise TooMany("Too many failed sign-ins. Try again later.", retry_after=WINDOW)
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        for key in keys:
            if not cache.add(key, 1, WINDOW):
                cache.incr(key)
        actor = Actor(None, username[:150], address)
        record(actor=actor, permission=Permission.SESSION_CREATE, result="refused")
        raise Invalid("User name or password is wrong.")
    cache.delete(keys[0])
    actor = Actor(user, user.username, address)
    record(actor=actor, permission=Permission.SESSION_CREATE, target=user.username)
    return user


@transaction.atomic
def create_token(*, actor: Actor, user: User, name: str) -> tuple[ApiToken, str]:
    """Make an API token; the secret is returned this once."""
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(user=user, name=name, digest=_digest(secret))
    record(actor=actor, permission=Permission.TOKEN_CREATE, target=name)
    return token, secret


@transaction.atomic
def remove_token(*, actor: Actor, token: ApiToken) -> None:
    """Make a token worthless."""
    record(actor=actor, permission=Permission.TOKEN_REMOVE, target=token.name)
    token.delete()


def user_of_token(secret: str) -> User | None:
    """Return whose token this is, and note its use."""
    token = ApiToken.objects.select_related("user").filter(digest=_digest(secret)).first()
    if token is None or not token.user.is_active:
        return None
    now = timezone.now()
    if token.last_used is None or now - token.last_used > USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used=now)
    return token.user

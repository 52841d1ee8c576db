"""The door to every environment, and what the observer learns of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from common.errors import AppError, Conflict, Forbidden, Invalid, Missing, Unreachable
from engine.client.client import EngineClient, EngineRefused, EngineUnreachable
from environments.models import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accounts.models import User
    from common.permissions import Permission

LOCAL = "local"


def ensure_local() -> Environment:
    """Return the environment of this machine's engine, registered when it is not."""
    environment, _ = Environment.objects.update_or_create(
        name=LOCAL,
        defaults={"kind": Environment.Kind.LOCAL, "socket": settings.ENGINE_SOCKET},
    )
    return environment


def get_environment(*, user: User, reference: str, permission: Permission) -> Environment:
    """Return an environment for one act: the only way to one.

    Raises: Missing(no such environment) · Forbidden(the permission is missing).
    """
    by_id = {"pk": int(reference)} if reference.isdigit() else {"name": reference}
    environment = Environment.objects.filter(**by_id).first()
    if environment is None and reference == LOCAL:
        environment = ensure_local()  # asked for before the observer was there
    if environment is None:
        raise Missing(f"There is no environment {reference}.")
    if not user.is_superuser:
        raise Forbidden(
            f"This needs the permission {permission.value}.", permission=permission.value
        )
    return environment


@contextmanager
def engine_of(environment: Environment) -> Iterator[EngineClient]:
    """Yield a client of the environment's engine; its errors become ours.

    Raises: Unreachable · Missing, Conflict, Invalid, AppError(the engine's own words).
    """
    try:
        with EngineClient(environment.socket) as client:
            yield client
    except EngineUnreachable as error:
        raise Unreachable(f"The engine of {environment.name} does not answer.") from error
    except EngineRefused as error:
        raise translate(error) from error


def translate(error: EngineRefused) -> AppError:
    """Return our error for one of the engine's."""
    kinds: dict[int, type[AppError]] = {400: Invalid, 404: Missing, 409: Conflict}
    kind = kinds.get(error.status)
    if kind:
        return kind(error.message)
    failure = AppError(error.message, engine_status=error.status)
    failure.status, failure.code = 502, "engine_error"
    return failure


def mark_up(environment: Environment, version: str) -> None:
    """Note that the engine answers."""
    Environment.objects.filter(pk=environment.pk).update(
        status=Environment.Status.UP, engine_version=version, last_seen=timezone.now()
    )


def mark_down(environment: Environment) -> None:
    """Note that the engine does not answer."""
    Environment.objects.filter(pk=environment.pk).update(status=Environment.Status.DOWN)

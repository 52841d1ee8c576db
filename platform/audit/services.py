"""Writing the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit.models import Entry

if TYPE_CHECKING:
    from common.permissions import Permission


@dataclass(frozen=True)
class Actor:
    """Who acts, and from where."""

    user: Any  # an accounts.User or None; accounts stands above this app
    name: str
    address: str | None = None


def record(
    *,
    actor: Actor,
    permission: Permission,
    target: str = "",
    environment: str = "",
    result: str = "ok",
    **detail: object,
) -> Entry:
    """Write one act down; `detail` must be JSON and must hold no secret."""
    return Entry.objects.create(
        user=actor.user,
        actor=actor.name,
        permission=permission.value,
        target=target[:400],
        environment=environment,
        result=result,
        detail=detail,
        address=actor.address,
    )

"""The base of every websocket: authenticated like REST, checked again while it is open."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from accounts.models import User
from accounts.services import user_of_token
from audit.services import Actor
from common.errors import AppError, Invalid

log = logging.getLogger(__name__)
RECHECK = 20.0  # seconds between two looks at whether the user may still listen
UNAUTHENTICATED = 4401
REFUSED = 4403
ENDED = 1000


class Socket(AsyncWebsocketConsumer):  # type: ignore[misc] # channels has no types
    """One websocket of a signed-in user.

    A subclass says in `allow` what the user must be permitted, and in `run` what it does; both
    may raise AppError, which is told to the client as {"error": …} before the close.
    """

    user: User
    _tasks: tuple[asyncio.Task[None], ...] = ()

    async def connect(self) -> None:
        """Let the user in, or say why not."""
        user = await self._authenticate()
        if user is None:
            await self.accept()
            await self.close(UNAUTHENTICATED)
            return
        self.user = user
        await self.accept()
        self._tasks = tuple(
            asyncio.ensure_future(self._guarded(work)) for work in (self._work, self._recheck)
        )

    async def disconnect(self, code: int) -> None:
        """Stop the work."""
        del code
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def allow(self) -> None:
        """Raise AppError when the user may not have this."""

    async def run(self) -> None:
        """Do what the websocket is for."""

    def actor(self) -> Actor:
        """Return who acts, for the audit trail."""
        client = self.scope.get("client")
        return Actor(self.user, self.user.username, client[0] if client else None)

    def query(self) -> dict[str, str]:
        """Return the parameters of the address."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1")))

    async def send_json(self, message: dict[str, Any]) -> None:
        """Send one message."""
        await self.send(text_data=json.dumps(message, separators=(",", ":"), default=str))

    async def deliver(self, message: dict[str, str]) -> None:
        """Hand on what was published to a group."""
        await self.send(text_data=message["text"])

    async def _authenticate(self) -> User | None:
        headers = {key: value.decode("latin-1") for key, value in self.scope["headers"]}
        kind, _, secret = headers.get(b"authorization", "").partition(" ")
        if kind.lower() == "bearer":
            found: User | None = await database_sync_to_async(user_of_token)(secret)
            return found
        # A cookie is sent by every page of the world: only our own may use it.
        origin = headers.get(b"origin", "")
        if urlsplit(origin).netloc != headers.get(b"host"):
            return None
        user = await get_user(self.scope)
        return user if isinstance(user, User) and user.is_active else None

    async def _work(self) -> None:
        await self.allow()
        await self.run()

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(RECHECK)
            session = self.scope.get("session")
            key = session.session_key if session is not None else None
            lives = key is None or await database_sync_to_async(session.exists)(key)
            user = await self._authenticate() if lives else None
            if user is None:
                await self.close(UNAUTHENTICATED)
                return
            self.user = user
            await self.allow()

    async def _guarded(self, work: Any) -> None:
        try:
            await work()
        except AppError as error:
            await self.send_json(
                {"type": "error", "error": {"code": error.code, "message": error.message}}
            )
            await self.close(REFUSED)
        except Exception:  # the last place before it would vanish in a task
            log.exception("a websocket failed")
            await self.close(1011)


def parse(text: str | None) -> dict[str, Any]:
    """Return a client's message. Raises: Invalid(it is no JSON object)."""
    try:
        message = json.loads(text or "")
    except ValueError as error:
        raise Invalid("The message is not JSON.") from error
    if not isinstance(message, dict):
        raise Invalid("The message is not an object.")
    return message

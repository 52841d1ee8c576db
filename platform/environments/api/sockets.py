"""The one socket of a browser tab: events, jobs and figures, by topic."""

from __future__ import annotations

import asyncio
from typing import Any

from channels.db import database_sync_to_async

from accounts.api.sockets import Socket, parse
from common.errors import AppError, Forbidden, Invalid
from common.permissions import Permission
from common.realtime import ALL_JOBS, environment_events, user_jobs
from environments.figures import Reader
from environments.models import Environment
from environments.services import get_environment

LONGEST = 2000  # containers whose figures one tab may watch


class LiveConsumer(Socket):
    """Sends what the tab subscribed to; every subscription goes through the door."""

    async def connect(self) -> None:
        """Begin with no subscription."""
        self._groups: dict[str, str] = {}  # group: environment's reference
        self._stats: tuple[str, Reader, frozenset[str], asyncio.Task[None]] | None = None
        await super().connect()

    async def disconnect(self, code: int) -> None:
        """Leave every group."""
        self._stop_stats()
        for group in self._groups:
            await self.channel_layer.group_discard(group, self.channel_name)
        await super().disconnect(code)

    async def allow(self) -> None:
        """Look again at everything that is listened to."""
        if ALL_JOBS in self._groups and not self.user.is_superuser:
            raise Forbidden("Only administrators hear of every job.")
        for reference in {*self._groups.values(), *([self._stats[0]] if self._stats else [])}:
            if reference:
                await self._door(reference, Permission.CONTAINER_VIEW)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take a wish; what is wrong with it is told and changes nothing."""
        del bytes_data
        try:
            await self._take(parse(text_data))
        except AppError as error:
            failure = {"code": error.code, "message": error.message}
            await self.send_json({"type": "error", "error": failure})

    async def _take(self, message: dict[str, Any]) -> None:
        begin = "subscribe" in message
        topic = message.get("subscribe") if begin else message.get("unsubscribe")
        if topic == "jobs":
            group = ALL_JOBS if self.user.is_superuser else user_jobs(self.user.pk)
            await self._listen(group, "", begin=begin)
        elif topic == "events":
            reference = str(message.get("environment", ""))
            environment = await self._door(reference, Permission.ENVIRONMENT_VIEW)
            await self._listen(environment_events(environment.pk), reference, begin=begin)
        elif topic == "stats":
            self._stop_stats()
            if begin:
                await self._start_stats(message)
        else:
            raise Invalid(f"There is no topic {topic}.")

    async def _listen(self, group: str, reference: str, *, begin: bool) -> None:
        if begin:
            self._groups[group] = reference
            await self.channel_layer.group_add(group, self.channel_name)
        elif self._groups.pop(group, None) is not None:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def _start_stats(self, message: dict[str, Any]) -> None:
        ids = message.get("ids")
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise Invalid("ids must be a list of containers' ids.")
        if len(ids) > LONGEST:
            raise Invalid(f"At most {LONGEST} containers can be watched at once.")
        reference = str(message.get("environment", ""))
        environment = await self._door(reference, Permission.CONTAINER_VIEW)
        reader, wanted = Reader.of(environment.socket), frozenset(ids)
        reader.want(wanted)
        task = asyncio.ensure_future(self._send_stats(reference, reader, wanted))
        self._stats = reference, reader, wanted, task

    async def _send_stats(self, reference: str, reader: Reader, wanted: frozenset[str]) -> None:
        while wanted:
            await reader.next()
            found = {one: reader.latest[one] for one in wanted if one in reader.latest}
            at = int(reader.at * 1000)
            await self.send_json(
                {"topic": "stats", "environment": reference, "at": at, "stats": found}
            )

    def _stop_stats(self) -> None:
        if self._stats:
            _, reader, wanted, task = self._stats
            task.cancel()
            reader.leave(wanted)
            self._stats = None

    async def _door(self, reference: str, permission: Permission) -> Environment:
        found: Environment = await database_sync_to_async(get_environment)(
            user=self.user, reference=reference, permission=permission
        )
        return found

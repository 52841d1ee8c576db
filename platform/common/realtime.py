"""What the browsers hear without asking: small texts to groups of websockets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

if TYPE_CHECKING:
    from common.models import Job

ALL_JOBS = "jobs.all"  # administrators


def user_jobs(user_id: int) -> str:
    """Return the group that hears of one user's jobs."""
    return f"jobs.user.{user_id}"


def environment_events(environment_id: int) -> str:
    """Return the group that hears of one environment's events."""
    return f"events.{environment_id}"


async def publish(group: str, message: dict[str, Any]) -> None:
    """Send a message to every websocket of a group; who is not there does not hear it."""
    layer = get_channel_layer()
    await layer.group_send(group, {"type": "deliver", "text": json.dumps(message, default=str)})


def publish_job(job: Job) -> None:
    """Tell a job's state to its owner and to the administrators."""
    from common.api.serializers import JobSerializer

    message = {"topic": "jobs", "job": JobSerializer(job).data}
    groups = [ALL_JOBS] if job.user_id is None else [ALL_JOBS, user_jobs(job.user_id)]

    async def send() -> None:
        for group in groups:
            await publish(group, message)

    async_to_sync(send)()

"""The life of a job, each step one small write."""

from __future__ import annotations

import time
from typing import Any

from celery import current_app
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.utils import timezone

from common.errors import Conflict
from common.models import Job
from common.realtime import publish_job

INTERVAL = 0.25  # seconds between two writes of one job's progress


class Cancelled(Exception):
    """Somebody asked for the job's end."""


# What a task meets when its job is cancelled: at its next progress, or wherever it waits.
CANCELLED = (Cancelled, SoftTimeLimitExceeded)


def enqueue(task: str, job: Job) -> None:
    """Hand a job to the worker once its row is committed."""

    def hand_over() -> None:
        publish_job(job)
        identity = str(job.pk)
        current_app.send_task(task, task_id=identity, kwargs={"job_id": identity})

    transaction.on_commit(hand_over)


def begin(job_id: str) -> Job | None:
    """Mark a job as running; None when there is nothing (left) to do.

    A job found running was begun by a worker that was lost, and is begun again.
    """
    with transaction.atomic():
        job = Job.objects.select_for_update().filter(pk=job_id).first()
        if job is None or job.is_over:
            return None
        job.state, job.started = Job.State.RUNNING, timezone.now()
        job.save(update_fields=["state", "started"])
    publish_job(job)
    return job


def finish(job: Job, state: Job.State, *, error: str = "", **result: object) -> None:
    """Write a job's end down."""
    job.state, job.error, job.finished = state, error, timezone.now()
    job.result = result
    job.save(update_fields=["state", "error", "finished", "result", "progress"])
    publish_job(job)


def cancel(job: Job) -> None:
    """Ask for a job's end. Raises: Conflict(it is over)."""
    changed = Job.objects.filter(pk=job.pk, state__in=(Job.State.QUEUED, Job.State.RUNNING)).update(
        cancel_requested=True
    )
    if not changed:
        raise Conflict("This job is over.")
    Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(
        state=Job.State.CANCELLED, finished=timezone.now()
    )
    job.refresh_from_db()
    publish_job(job)
    # A task that waits for an engine sees no progress to stop at: this interrupts it.
    current_app.control.revoke(str(job.pk), terminate=True, signal="SIGUSR1")


class Progress:
    """Writes progress at most every INTERVAL and looks whether to go on."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._written = 0.0

    def update(self, progress: dict[str, Any]) -> None:
        """Take new progress. Raises: Cancelled."""
        self._job.progress = progress
        moment = time.monotonic()
        if moment - self._written < INTERVAL:
            return
        self._written = moment
        self._job.save(update_fields=["progress"])
        publish_job(self._job)
        if Job.objects.filter(pk=self._job.pk, cancel_requested=True).exists():
            raise Cancelled

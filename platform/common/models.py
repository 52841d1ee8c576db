"""Jobs: long work with progress, a result, and an end."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Job(models.Model):
    """One piece of long work.

    Shape: `progress` is {"layers": [{id, status, current, total}], "current", "total"} in bytes.
    """

    class State(models.TextChoices):
        """Where it stands."""

        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=64)
    title = models.CharField(max_length=400)
    state = models.CharField(max_length=16, choices=State, default=State.QUEUED, db_index=True)
    progress = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    error = models.TextField(default="", blank=True)
    environment = models.CharField(max_length=100, default="", blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    cancel_requested = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True, db_index=True)
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)

    class Meta:
        """Newest first."""

        ordering = ("-created",)

    def __str__(self) -> str:
        """Return what it does and where it stands."""
        return f"{self.title} ({self.state})"

    @property
    def is_over(self) -> bool:
        """Tell whether it has come to its end."""
        return self.state in (self.State.SUCCEEDED, self.State.FAILED, self.State.CANCELLED)

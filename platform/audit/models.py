"""The audit trail."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Entry(models.Model):
    """One act: never changed, never deleted with its actor."""

    time = models.DateTimeField(auto_now_add=True, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    actor = models.CharField(max_length=150)
    permission = models.CharField(max_length=64)
    environment = models.CharField(max_length=100, default="", blank=True)
    target = models.CharField(max_length=400, default="", blank=True)
    result = models.CharField(max_length=16, default="ok")
    detail = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        """Newest first."""

        ordering = ("-time",)

    def __str__(self) -> str:
        """Return it as a sentence."""
        return f"{self.actor} {self.permission} {self.target}"

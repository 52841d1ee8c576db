"""Registered engines."""

from __future__ import annotations

from django.db import models


class Environment(models.Model):
    """One engine."""

    class Kind(models.TextChoices):
        """How it is reached."""

        LOCAL = "local"

    class Status(models.TextChoices):
        """Whether it answers, as the observer saw it last."""

        UP = "up"
        DOWN = "down"

    name = models.SlugField(max_length=100, unique=True)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.LOCAL)
    socket = models.CharField(max_length=400)
    status = models.CharField(max_length=8, choices=Status, default=Status.DOWN)
    engine_version = models.CharField(max_length=64, default="", blank=True)
    last_seen = models.DateTimeField(null=True)

    def __str__(self) -> str:
        """Return its name."""
        return self.name

"""Users and their API tokens."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person. `is_superuser` is the administrator role."""


class ApiToken(models.Model):
    """A token for programs: only its SHA-256 is kept, which is enough for 256 random bits."""

    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True)

    def __str__(self) -> str:
        """Return whose it is."""
        return f"{self.user}: {self.name}"


class SetupToken(models.Model):
    """The one-time right to make the first administrator."""

    digest = models.CharField(max_length=64)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        """Return when it was made."""
        return f"made {self.created}"

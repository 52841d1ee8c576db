"""`manage.py setup_link`: print the one-time path that makes the first administrator."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from accounts.services import new_setup_token, setup_required


class Command(BaseCommand):
    """Prints nothing once there is an administrator."""

    help = "Print the one-time setup link's path."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        if setup_required():
            self.stdout.write(f"/setup?token={new_setup_token()}")

"""`manage.py setup --username NAME --password-stdin`: the first administrator."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.services import create_administrator
from common.errors import AppError


class Command(BaseCommand):
    """Makes the first administrator without a browser."""

    help = "Create the first administrator."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the flags."""
        parser.add_argument("--username", required=True)
        parser.add_argument("--password-stdin", action="store_true", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run. Raises: CommandError(a sentence for the person)."""
        password = sys.stdin.readline().rstrip("\n")
        try:
            user = create_administrator(username=options["username"], password=password)
        except AppError as error:
            reasons = [text for texts in (error.fields or {}).values() for text in texts]
            raise CommandError(" ".join([error.message, *reasons])) from error
        self.stdout.write(f"Administrator {user.username} can sign in.")

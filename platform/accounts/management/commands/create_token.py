"""`manage.py create_token --user NAME --name LABEL`: an API token, printed once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.services import create_token
from audit.services import Actor


class Command(BaseCommand):
    """Makes a token on the command line."""

    help = "Create an API token."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the flags."""
        parser.add_argument("--user", required=True)
        parser.add_argument("--name", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run. Raises: CommandError(no such user)."""
        try:
            user = User.objects.get(username=options["user"])
        except User.DoesNotExist as error:
            raise CommandError(f"There is no user {options['user']}.") from error
        actor = Actor(user, f"{user.username} (command line)")
        _, secret = create_token(actor=actor, user=user, name=options["name"])
        self.stdout.write(secret)

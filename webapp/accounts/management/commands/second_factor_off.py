"""`manage.py second_factor_off`: let somebody log in who has lost their phone and their recovery codes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from webapp.accounts.own.second_factor import second_factor_off
from webapp.gallery.command_support import user_named
from webapp.http.commands import command_actor, expected_failures


class Command(BaseCommand):
    help = "Turn a user's second factor off, so that the password is enough to log in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        with expected_failures():
            user = user_named(options["username"])
            was_on = second_factor_off(user=user, actor=command_actor())
            self.stdout.write("The second factor is off." if was_on else "The second factor was off already.")

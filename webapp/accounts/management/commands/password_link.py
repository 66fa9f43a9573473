"""`manage.py password_link`: make a link that sets the password of somebody who has forgotten theirs."""

from typing import Any, cast

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandParser

from webapp.accounts.own.links import absolute
from webapp.accounts.own.passwords import password_link
from webapp.gallery.command_support import user_named
from webapp.http.commands import command_actor, expected_failures


class Command(BaseCommand):
    help = "Print a link with which a user sets a new password, once and within a day. Hand it on to nobody else."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        with expected_failures():
            user = cast(User, user_named(options["username"]))
            self.stdout.write(absolute(password_link(user=user, actor=command_actor())))

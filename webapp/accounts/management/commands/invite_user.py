"""`manage.py invite_user`: invite somebody to make an account."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from webapp.accounts.own.links import absolute
from webapp.accounts.own.sign_up import sign_up_invitation_create
from webapp.http.commands import command_actor, expected_failures


class Command(BaseCommand):
    help = "Print a link with which one person makes an account, within a week. Needs SIGN_UP=invited or open."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--note", default="", help="whom it is for; staff read this in the admin")

    def handle(self, *args: Any, **options: Any) -> None:
        with expected_failures():
            _, path = sign_up_invitation_create(actor=command_actor(), note=options["note"])
            self.stdout.write(absolute(path))

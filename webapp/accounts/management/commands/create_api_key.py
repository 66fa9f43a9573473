"""`manage.py create_api_key`: make an API key for a user. Its token is the only thing on standard output."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks import clock
from webapp.accounts.callers import Caller, Scope
from webapp.accounts.keys import key_create
from webapp.gallery.access import visible_galleries
from webapp.gallery.command_support import user_named
from webapp.gallery.models import Gallery
from webapp.http.commands import command_actor, expected_failures
from webapp.http.names import cleaned
from webapp.http.schemas import Days, argument


class Command(BaseCommand):
    help = "Make an API key for a user, and print its token. It is not stored and cannot be printed again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USERNAME", help="for whom")
        parser.add_argument("--name", required=True, help="what the key is for, shown in lists")
        parser.add_argument(
            "--scope",
            action="append",
            choices=[scope.value for scope in Scope],
            default=[],
            help="what it may be used for; may be repeated (default: read)",
        )
        parser.add_argument(
            "--gallery",
            action="append",
            metavar="NAME|ID",
            help="limit it to this gallery, by name or id; may be repeated (default: all, also later ones)",
        )
        parser.add_argument(
            "--expires-days", type=argument(Days), metavar="DAYS", help="how long it works (default: until revoked)"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with expected_failures():
            user = cast(User, user_named(options["username"]))
            galleries = _galleries(user, options["gallery"]) if options["gallery"] else None
            key, token = key_create(
                user=user,
                name=options["name"],
                scopes=[Scope(scope) for scope in options["scope"] or [Scope.READ]],
                galleries=galleries,
                expires_at=_expiry(options["expires_days"]),
                actor=command_actor(),
            )
        if options["json"]:
            shown = {"id": key.pk, "name": key.name, "token": token, "scopes": key.scopes}
            shown["galleries"] = None if galleries is None else [str(gallery.pk) for gallery in galleries]
            shown["expires_at"] = key.expires_at and key.expires_at.isoformat()
            self.stdout.write(json.dumps(shown))
        else:
            self.stdout.write(token)
            self.stderr.write("Keep it now: it cannot be shown again.")


def _expiry(days: int | None) -> datetime | None:
    return None if days is None else clock.utcnow() + timedelta(days=days)


def _galleries(user: User, wanted: Sequence[str]) -> list[Gallery]:
    """Return the galleries that the user sees under these names or ids. Raises CommandError."""
    return [_gallery(user, each) for each in dict.fromkeys(wanted)]


def _gallery(user: User, wanted: str) -> Gallery:
    visible = visible_galleries(Caller(user=user))
    try:
        found = list(visible.filter(id=UUID(wanted)))
    except ValueError:
        found = list(visible.filter(name=cleaned(wanted))[:2])
    if not found:
        raise CommandError(f"{user.get_username()} sees no gallery “{wanted}”.")
    if len(found) > 1:
        raise CommandError(f"{user.get_username()} sees several galleries “{wanted}”; choose one by its id.")
    return found[0]

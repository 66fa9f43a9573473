"""`manage.py create_api_key`."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from tasks import clock
from webapp.accounts.callers import Scope
from webapp.accounts.keys import caller_of_key
from webapp.accounts.models import ApiKey, AuditEntry
from webapp.gallery.models import Gallery
from webapp.http.commands import command_actor


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("create_api_key", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue().strip()


def test_it_prints_the_token_and_nothing_else(user: User) -> None:
    token = run("ada", "--name", "backup")
    assert caller_of_key(token).user == user
    key = ApiKey.objects.get()
    assert (key.scopes, key.is_limited, key.expires_at) == (["read"], False, None)
    assert AuditEntry.objects.get().actor == command_actor()


def test_it_takes_scopes_galleries_and_a_life(user: User, gallery: Gallery) -> None:
    work = Gallery.objects.create(owner=user, name="Work")
    printed = json.loads(
        run(
            *("ada", "--name", "backup", "--scope", "read", "--scope", "search"),
            *("--gallery", " Friends ", "--gallery", str(work.pk), "--expires-days", "7", "--json"),
        )
    )
    caller = caller_of_key(printed["token"])
    assert caller.scopes == {Scope.READ, Scope.SEARCH}
    assert caller.gallery_ids == {gallery.pk, work.pk}
    key = ApiKey.objects.get(pk=printed["id"])
    assert timedelta(days=6) < key.expires_at - clock.utcnow() <= timedelta(days=7)  # type: ignore[operator]
    assert printed["expires_at"] == key.expires_at.isoformat()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["nobody", "--name", "x"], "no user “nobody”", id="no such user"),
        pytest.param(["ada", "--name", " "], "The name of a key has 1 to 100", id="no name"),
        pytest.param(["ada", "--name", "x", "--gallery", "Secrets"], "sees no gallery “Secrets”", id="somebody else's"),
        pytest.param(["ada", "--name", "x", "--scope", "admin"], "Only staff", id="the scope of staff"),
        pytest.param(["ada", "--name", "x", "--expires-days", "0"], "greater than", id="no life at all"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    user: User, their_gallery: Gallery, arguments: list[Any], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(*arguments)
    assert not ApiKey.objects.exists()

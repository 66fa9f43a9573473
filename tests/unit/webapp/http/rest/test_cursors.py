"""Lists in parts."""

import base64
import json
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User

from webapp.accounts.models import AuditEntry
from webapp.http.problems import Problem
from webapp.http.rest.cursors import part_of

pytestmark = pytest.mark.django_db
ORDER = ("action", "-id")


def parts(limit: int = 2) -> list[list[str]]:
    found, cursor = [], ""
    while True:
        rows, following = part_of(AuditEntry.objects.all(), order=ORDER, cursor=cursor, limit=limit)
        found.append([entry.subject for entry in rows])
        if following is None:
            return found
        cursor = following


def entries(*actions: str) -> None:
    for number, action in enumerate(actions):
        AuditEntry.objects.create(actor="ada", action=action, subject=str(number))


def test_a_list_in_parts_has_every_row_once_and_in_order() -> None:
    entries("b", "a", "b", "a", "a")
    assert parts() == [["4", "3"], ["1", "2"], ["0"]]


def test_a_list_that_ends_with_a_full_part_has_no_empty_one_after_it() -> None:
    entries("a", "a")
    assert parts() == [["1", "0"]]


@pytest.mark.parametrize("order", [("at", "id"), ("-at", "-id")], ids=["oldest first", "newest first"])
def test_rows_of_the_same_millisecond_are_listed_once_each(order: tuple[str, ...]) -> None:
    entries("a", "a", "a")
    for number, entry in enumerate(AuditEntry.objects.order_by("id")):
        AuditEntry.objects.filter(id=entry.pk).update(at=datetime(2026, 1, 1, microsecond=123_400 + number, tzinfo=UTC))
    found, cursor = [], ""
    for _ in range(4):  # one more than there are rows
        rows, following = part_of(AuditEntry.objects.all(), order=order, cursor=cursor, limit=1)
        found += [entry.subject for entry in rows]
        if following is None:
            break
        cursor = following
    assert found == sorted("012", reverse=order[0].startswith("-"))


def test_rows_deleted_meanwhile_hide_no_others() -> None:
    entries("a", "a", "a", "a")
    _, cursor = part_of(AuditEntry.objects.all(), order=ORDER, cursor="", limit=2)
    AuditEntry.objects.filter(subject__in=["2", "3"]).delete()
    rows, _ = part_of(AuditEntry.objects.all(), order=ORDER, cursor=cursor or "", limit=2)
    assert [entry.subject for entry in rows] == ["1", "0"]


@pytest.mark.parametrize(
    "cursor",
    [
        "§",
        "x",
        "a" * 999,
        *(
            base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
            for values in ({}, [], ["a"], ["a", None], ["a", "x"], ["a", [1]], ["a", 1e400])
        ),
    ],
)
def test_an_invented_cursor_is_refused(cursor: str, user: User) -> None:
    with pytest.raises(Problem) as caught:
        part_of(AuditEntry.objects.all(), order=ORDER, cursor=cursor, limit=2)
    assert caught.value.code == "bad_cursor"

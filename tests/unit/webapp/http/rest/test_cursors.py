"""Lists in parts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webapp.accounts.models import AuditEntry
from webapp.gallery.models import Gallery
from webapp.http.problems import Problem
from webapp.http.rest.cursors import LONGEST_CURSOR, part_of

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


@pytest.mark.parametrize("cursor", ["§", "x", "a" * 999, ":", "WyJhIiwiMSJd", "WyJhIiwiMSJd:", "WyJhIiwiMSJd:x", "\0"])
def test_an_invented_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Problem) as caught:
        part_of(AuditEntry.objects.all(), order=ORDER, cursor=cursor, limit=2)
    assert caught.value.code == "bad_cursor"


def test_the_cursor_of_another_list_or_order_is_refused(gallery: Gallery) -> None:
    entries("a", "a")
    _, cursor = part_of(AuditEntry.objects.all(), order=("id",), cursor="", limit=1)
    rows: list[tuple[Any, tuple[str, ...]]] = [(AuditEntry.objects.all(), ("-id",)), (Gallery.objects.all(), ("id",))]
    for others, order in rows:
        with pytest.raises(Problem) as caught:
            part_of(others, order=order, cursor=cursor or "", limit=1)
        assert caught.value.code == "bad_cursor"


def test_a_cursor_keeps_every_digit_of_a_time() -> None:
    entries("a", "a", "a")
    moment = datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
    for number, entry in enumerate(AuditEntry.objects.order_by("id")):
        AuditEntry.objects.filter(id=entry.pk).update(at=moment + timedelta(microseconds=number))
    rows, cursor = part_of(AuditEntry.objects.all(), order=("-at", "id"), cursor="", limit=1)
    following, _ = part_of(AuditEntry.objects.all(), order=("-at", "id"), cursor=cursor or "", limit=5)
    assert [entry.subject for entry in (*rows, *following)] == ["2", "1", "0"]


def test_the_cursor_of_the_longest_text_is_accepted() -> None:
    longest = AuditEntry._meta.get_field("subject").max_length or 0
    for end in "ab":
        AuditEntry.objects.create(actor="ada", action="a", subject="\U0001f9d1" * (longest - 1) + end)
    _, cursor = part_of(AuditEntry.objects.all(), order=("subject", "id"), cursor="", limit=1)
    assert len(cursor or "") <= LONGEST_CURSOR
    rows, _ = part_of(AuditEntry.objects.all(), order=("subject", "id"), cursor=cursor or "", limit=1)
    assert [entry.subject[-1] for entry in rows] == ["b"]

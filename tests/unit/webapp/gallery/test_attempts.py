"""Attempts: photos and entries are claimed, given back, sent again and given up by the same rules."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from webapp.gallery.attempts import Attempted, AttemptedQuerySet, messages_of
from webapp.gallery.models import Gallery, Photo
from webapp.generations.models import Entry
from webapp.generations.selectors import active_generation

LONG_AGO = timedelta(hours=1)


def make_photo(gallery: Gallery, **fields: Any) -> Photo:
    number = Photo.objects.count()
    return Photo.objects.create(
        gallery=gallery, filename="ada.jpg", file="ada", sha256=str(number), byte_size=1, **fields
    )


def make_entry(gallery: Gallery, **fields: Any) -> Entry:
    return Entry.objects.create(generation=active_generation(), photo=make_photo(gallery, state="indexed"), **fields)


@pytest.fixture(params=[pytest.param(make_photo, id="photo"), pytest.param(make_entry, id="entry")])
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


def rows_of(row: Attempted) -> AttemptedQuerySet[Any]:
    return type(row).objects.all()  # type: ignore[attr-defined]


def claim(row: Attempted) -> list[Any]:
    """Claim what can be claimed, as a sender does; return it."""
    with transaction.atomic():
        found = list(rows_of(row).claimable())
        rows_of(row).claim(found)
    return found


def shown(row: Attempted) -> tuple[str, int, bool]:
    """Return the row's state, its attempts, and whether it waits to be sent."""
    row.refresh_from_db()
    return row.state, row.attempts, row.enqueued_at is None


def test_a_row_is_claimed_once_and_that_counts_an_attempt(gallery: Gallery, make: Callable[..., Any]) -> None:
    row = make(gallery)
    assert claim(row) == [row]
    assert claim(row) == []
    assert shown(row) == ("pending", 1, False)


def test_a_row_that_is_given_back_waits_again_and_has_lost_no_attempt(
    gallery: Gallery, make: Callable[..., Any]
) -> None:
    row = make(gallery)
    rows_of(row).give_back(claim(row))
    assert shown(row) == ("pending", 0, True)


def test_a_row_that_was_claimed_again_meanwhile_is_not_given_back(gallery: Gallery, make: Callable[..., Any]) -> None:
    row = make(gallery)
    first = claim(row)
    rows_of(row).send_again()
    claim(row)
    rows_of(row).give_back(first)
    assert shown(row) == ("pending", 2, False)


def test_a_crash_between_claim_and_send_costs_one_lease(gallery: Gallery, make: Callable[..., Any]) -> None:
    row = make(gallery)
    claim(row)
    assert rows_of(row).send_again_if_stale(sent_before=timezone.now() - LONG_AGO) == (0, 0)
    assert rows_of(row).send_again_if_stale(sent_before=timezone.now() + LONG_AGO) == (1, 0)
    assert claim(row) == [row]
    assert shown(row) == ("pending", 2, False)


@pytest.mark.parametrize(
    ("attempts", "cause", "sentence"),
    [
        pytest.param(
            3,
            {"code": "store_unavailable", "message": "Milvus does not answer."},
            "No worker finished this photo in 3 attempts; the last one: Milvus does not answer. (store_unavailable)",
            id="with the last cause",
        ),
        pytest.param(9, {}, "No worker finished this photo in 9 attempts.", id="in silence"),
    ],
)
def test_a_row_that_was_sent_too_often_is_given_up(
    gallery: Gallery, make: Callable[..., Any], settings: Any, attempts: int, cause: dict[str, str], sentence: str
) -> None:
    settings.INDEX_MAX_ATTEMPTS = 3
    sent = timezone.now() - LONG_AGO
    spent = make(gallery, attempts=attempts, enqueued_at=sent)
    young = make(gallery, attempts=attempts - 1, enqueued_at=sent)
    if cause:
        rows_of(spent).note_cause(**cause)
    assert rows_of(spent).send_again_if_stale(sent_before=timezone.now()) == (1, 1)
    assert shown(spent) == ("failed", attempts, False)
    assert (spent.code, spent.message) == ("gave_up", sentence)
    assert spent.settled_at > sent
    assert shown(young) == ("pending", attempts - 1, True)


@pytest.mark.parametrize("state", ["indexed", "no_faces", "failed"])
def test_a_settled_row_is_left_alone(gallery: Gallery, make: Callable[..., Any], state: str) -> None:
    row = make(gallery)
    claimed = claim(row)
    rows_of(row).update(state=state, attempts=99)
    assert claim(row) == []
    rows_of(row).claim(claimed)
    rows_of(row).give_back(claimed)
    rows_of(row).note_cause(code="busy", message="Busy.")
    assert rows_of(row).send_again_if_stale(sent_before=timezone.now() + LONG_AGO) == (0, 0)
    assert rows_of(row).give_up() == rows_of(row).send_again() == 0
    assert (*shown(row), row.code) == (state, 99, False, "")


@pytest.mark.django_db(transaction=True)
def test_two_senders_never_claim_the_same_row(gallery: Gallery, make: Callable[..., Any]) -> None:
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("This database lets one transaction write at a time.")
    row, found = make(gallery), []

    def second() -> None:
        try:
            found.extend(claim(row))
        finally:
            connection.close()

    with transaction.atomic():
        first = list(rows_of(row).claimable())
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        rows_of(row).claim(first)
    assert (first, found) == ([row], [])


# -- messages -------------------------------------------------------------------------------------------------


def test_a_message_has_rows_of_one_gallery(gallery: Gallery, their_gallery: Gallery, make: Callable[..., Any]) -> None:
    rows = [make(each) for each in (gallery, their_gallery, gallery, gallery)]
    assert [[rows.index(row) for row in message] for message in messages_of(rows, 2)] == [[0, 2], [1], [3]]


def test_a_row_whose_last_attempt_ended_in_silence_travels_alone_unless_it_can_harm_no_other(
    gallery: Gallery, make: Callable[..., Any]
) -> None:
    rows = [make(gallery, attempts=attempts, code=code) for attempts, code in ((0, ""), (1, ""), (2, "busy"), (2, ""))]
    assert [[rows.index(row) for row in message] for message in messages_of(rows, 9)] == [[1], [3], [0, 2]]
    assert [[rows.index(row) for row in message] for message in messages_of(rows, 9, isolate=False)] == [[0, 1, 2, 3]]


def test_a_new_attempt_forgets_how_the_last_one_ended_but_the_sender_still_knows(
    gallery: Gallery, make: Callable[..., Any]
) -> None:
    silent = make(gallery, attempts=1)
    row = make(gallery, attempts=1, code="busy", message="Busy.")
    assert {each.pk: each.is_suspect for each in claim(row)} == {silent.pk: True, row.pk: False}
    assert shown(row) == ("pending", 2, False)
    assert (row.code, row.message, row.is_suspect) == ("", "", True)

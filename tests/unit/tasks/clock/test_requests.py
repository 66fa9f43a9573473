"""What a worker makes of the deadline and the start time of a message, on a host with any clock."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker.state import revoked as revoked_tasks

from tasks import clock, names
from tasks.app import app
from tasks.clock.requests import SharedClockRequest, why_expired
from tasks.context import SENT_AT
from tests.clocks import have_wrong_clock

OFFSETS = pytest.mark.parametrize("offset", [0.0, 120.0, -120.0])


def received(monkeypatch: pytest.MonkeyPatch, receiver_offset: float, **options: Any) -> SharedClockRequest:
    """Send a search with these options and receive it on a host with that clock."""
    message = app.amqp.create_task_message("an-id", names.SEARCH_FACES, kwargs={"message": {}}, **options)
    message.headers[SENT_AT] = clock.now()
    have_wrong_clock(monkeypatch, receiver_offset)
    task = app.tasks.get(names.SEARCH_FACES) or SimpleNamespace(ignore_result=False)
    envelope = SimpleNamespace(
        headers=message.headers,
        body=message.body,
        payload=message.body,
        properties=message.properties,
        delivery_info={},
        content_type="application/json",
        content_encoding="utf-8",
    )
    return SharedClockRequest(envelope, app=app, task=task, headers=message.headers, body=message.body, decoded=True)


def test_every_task_is_received_as_such_a_request() -> None:
    assert app.Task.Request == "tasks.clock.requests:SharedClockRequest"


@OFFSETS
@pytest.mark.parametrize("sender_offset", [0.0, 120.0, -120.0])
def test_a_message_expires_by_the_shared_clock(
    monkeypatch: pytest.MonkeyPatch, offset: float, sender_offset: float
) -> None:
    have_wrong_clock(monkeypatch, sender_offset)
    request = received(monkeypatch, offset, expires=30)
    assert not request.maybe_expire()
    assert request.expires.timestamp() == pytest.approx(clock.now() + 30, abs=5)

    request.expires = datetime.fromtimestamp(clock.now() - 1, tz=UTC)
    assert request.maybe_expire()
    revoked_tasks.discard(request.id)


@OFFSETS
@pytest.mark.parametrize("sender_offset", [0.0, 120.0, -120.0])
def test_a_retry_starts_after_its_countdown_by_the_receivers_timer(
    monkeypatch: pytest.MonkeyPatch, offset: float, sender_offset: float
) -> None:
    have_wrong_clock(monkeypatch, sender_offset)
    request = received(monkeypatch, offset, countdown=10)
    # The worker's timer goes by the wall clock of its host.
    assert request.eta is not None
    assert request.eta.timestamp() == pytest.approx(time.time() + offset + 10, abs=5)


def test_what_neither_expires_nor_waits_has_no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    request = received(monkeypatch, 120.0)
    assert (request.eta, request.expires, request.maybe_expire()) == (None, None, False)


def test_a_retried_message_keeps_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    have_wrong_clock(monkeypatch, 120.0)
    deadline = received(monkeypatch, 120.0, expires=30).request_dict["expires"]
    again = received(monkeypatch, -120.0, expires=deadline, countdown=1)
    assert again.expires.isoformat() == deadline


def test_an_expired_message_says_how_long_it_waited_and_may(monkeypatch: pytest.MonkeyPatch) -> None:
    request = received(monkeypatch, 120.0, expires=30)
    now = clock.now()
    request.request_dict[SENT_AT] = now - 31.26
    request.expires = datetime.fromtimestamp(now - 1.26, tz=UTC)
    assert (
        why_expired(request.request_dict.get(SENT_AT), request.expires)
        == "waited 31.3 s for a worker, and may wait 30 s at most"
    )

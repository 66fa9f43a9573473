"""Beat's entries go by the shared clock, also those that were last sent by another time."""

from datetime import timedelta

import pytest
from celery.schedules import schedule

from tasks import clock
from tasks.app import app
from tasks.beat.scheduler import BoundedScheduler, SharedClockEntry
from tests.clocks import have_wrong_clock

INTERVAL_SECONDS = 10.0


def entry(*, sent_seconds_ago: float) -> SharedClockEntry:
    return SharedClockEntry(
        name="tick",
        task="tick",
        schedule=schedule(timedelta(seconds=INTERVAL_SECONDS), app=app),
        last_run_at=clock.utcnow() - timedelta(seconds=sent_seconds_ago),
        app=app,
    )


def test_the_scheduler_has_such_entries() -> None:
    assert BoundedScheduler.Entry is SharedClockEntry


@pytest.mark.parametrize("offset", [0.0, 86_400.0, -86_400.0])
def test_an_entry_is_due_after_its_interval_on_a_host_with_any_clock(
    monkeypatch: pytest.MonkeyPatch, offset: float
) -> None:
    have_wrong_clock(monkeypatch, offset)
    is_due, seconds = entry(sent_seconds_ago=4).is_due()
    assert (is_due, seconds) == (False, pytest.approx(INTERVAL_SECONDS - 4, abs=2))
    assert entry(sent_seconds_ago=INTERVAL_SECONDS + 1).is_due()[0]


def test_an_entry_that_was_sent_in_the_future_is_due_within_its_interval() -> None:
    is_due, seconds = entry(sent_seconds_ago=-86_400).is_due()
    assert not is_due
    assert 0 < seconds <= INTERVAL_SECONDS

"""One retry policy: it reads `retryable` and counts."""

from types import SimpleNamespace

import pytest
from celery import Task
from celery.exceptions import Retry

from tasks.errors import BadMessage, QueueUnavailable
from tasks.retry import LONGEST_DELAY_SECONDS, MAX_RETRIES, delay_seconds, retry_or_raise


class RecordingTask:
    """Stands where Celery's task stands: `retry` raises Retry and remembers the delay."""

    def __init__(self, retries: int) -> None:
        self.request = SimpleNamespace(retries=retries)
        self.countdown: float | None = None

    def retry(self, *, exc: Exception, countdown: float, max_retries: int) -> Task:
        self.countdown = countdown
        raise Retry(str(exc), exc)


def test_what_may_pass_is_tried_again_later():
    task = RecordingTask(retries=0)
    with pytest.raises(Retry):
        retry_or_raise(task, QueueUnavailable("down"))
    assert task.countdown is not None
    assert task.countdown > 0


def test_what_will_never_work_is_raised_at_once():
    with pytest.raises(BadMessage):
        retry_or_raise(RecordingTask(retries=0), BadMessage("no"))


def test_after_the_last_retry_the_error_is_raised():
    with pytest.raises(QueueUnavailable):
        retry_or_raise(RecordingTask(retries=MAX_RETRIES), QueueUnavailable("down"))


def test_delays_grow_and_stay_bounded():
    delays = [delay_seconds(retries) for retries in range(20)]
    assert all(0 < delay <= LONGEST_DELAY_SECONDS for delay in delays)
    assert min(delays[10:]) > max(delays[:2])

"""What left a queue is known in time, also of a queue that is never empty; and beat does not fill one up."""

import json
import time
from typing import Any

import pytest
import redis
from celery.beat import ScheduleEntry

from tasks import clock
from tasks.app import app
from tasks.beat.scheduler import BoundedScheduler
from tasks.web.queue_progress import KEY_PREFIX, left_queue

pytestmark = pytest.mark.services

QUEUE = "passage"
SECONDS = 0.3


def send(broker: redis.Redis, sent_at: float, name: str = QUEUE) -> None:
    broker.lpush(name, json.dumps({"headers": {"sent_at": sent_at}}))


def test_of_an_empty_queue_it_is_known_at_once(broker: redis.Redis):
    assert left_queue(QUEUE, 5) == pytest.approx(clock.now() - 5, abs=1)


def test_of_another_queue_it_is_known_once_a_mark_is_old_enough(broker: redis.Redis):
    first = clock.now() - 100  # a busy machine may take a while: what is told apart is 50 s apart
    send(broker, first)
    send(broker, first + 50)
    assert left_queue(QUEUE, SECONDS) == 0, "when the one before left is not known"
    assert left_queue(QUEUE, SECONDS) == 0, "the mark is too young"
    broker.rpop(QUEUE)
    time.sleep(SECONDS)
    assert left_queue(QUEUE, SECONDS) == pytest.approx(first - SECONDS, abs=1), "the second left only now"
    time.sleep(SECONDS)
    assert left_queue(QUEUE, SECONDS) == pytest.approx(first + 50 - SECONDS, abs=1)


def test_what_was_given_back_counts_as_waiting(broker: redis.Redis):
    now = clock.now()
    send(broker, now)
    broker.rpush(QUEUE, json.dumps({"headers": {"sent_at": now - 100}}))
    left_queue(QUEUE, SECONDS)
    time.sleep(SECONDS)
    assert left_queue(QUEUE, SECONDS) < now - 99


def test_nothing_is_concluded_from_a_message_without_a_time_or_without_redis_cache(broker: redis.Redis, settings: Any):
    broker.lpush(QUEUE, json.dumps({"headers": {}}))
    assert left_queue(QUEUE, SECONDS) == 0
    assert not broker.keys(KEY_PREFIX + "*")
    send(broker, clock.now(), name="another")
    settings.REDIS_CACHE_URL = "redis://127.0.0.1:1/0"
    assert left_queue("another", SECONDS) == 0


@pytest.fixture
def scheduler(broker: redis.Redis) -> BoundedScheduler:
    return BoundedScheduler(app, schedule_filename="", lazy=True)


def tick(scheduler: BoundedScheduler) -> None:
    entry = ScheduleEntry(
        name="tick",
        task="no_such_task",
        schedule=1.0,
        options={"queue": QUEUE, "expires": 60.0, "ignore_result": True},
        app=app,
    )
    scheduler.apply_async(entry, advance=False)


@pytest.mark.parametrize(
    ("oldest_seconds", "sent"),
    [pytest.param(None, 1, id="an empty queue"), (30.0, 1), pytest.param(90.0, 0, id="longer than the tick lives")],
)
def test_a_tick_is_sent_only_if_its_turn_comes_in_time(
    broker: redis.Redis, scheduler: BoundedScheduler, oldest_seconds: float | None, sent: int
):
    if oldest_seconds is not None:
        send(broker, clock.now() - oldest_seconds)
    before = broker.llen(QUEUE)
    tick(scheduler)
    assert broker.llen(QUEUE) == before + sent

"""Canaries: small tasks that beat sends through every queue, to see that work comes out at the other end.

A worker may answer a ping and consume nothing. So a canary takes the path of real work, and notes in redis-cache when
it arrived and how long that took; the status page, `doctor` and the metrics show the age of that note. In a search
queue it finds a known face with the model and in the vector store; in `records` it reads the database.

Two beats, or a canary delivered twice, do no harm: of several within half an interval, only one runs, and running it
twice changes nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

import redis
from django.conf import settings
from pydantic import BaseModel, ConfigDict

from tasks import clock
from tasks.config import worker_cache
from tasks.context import SENT_AT
from tasks.health.reports import WorkerReport

KEY_PREFIX: Final = "facequeue:canary:"
#: How long the last arrival is remembered.
KEPT_SECONDS: Final = 24 * 3600
#: Beats can be late and queues long: a canary counts as late after this many intervals.
LATE_INTERVALS: Final = 4


class CanaryReport(BaseModel):
    """The last canary to arrive: when (by the shared clock), and how many seconds after it was sent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    queue: str
    at: float
    seconds: float

    @property
    def age_seconds(self) -> float:
        return max(0.0, clock.now() - self.at)


def canary_key(queue: str) -> str:
    return KEY_PREFIX + queue


def canary_problem(
    queue: str,
    canaries: Sequence[CanaryReport],
    workers: Sequence[WorkerReport],
    *,
    interval_seconds: float,
) -> str:
    """Return a sentence when the queue's canary is overdue, else an empty string.

    Workers that have just started get the same time for their first canary. A queue without workers is left to another
    finding; without canaries (`interval_seconds` is 0) there is nothing to say.
    """
    patience_seconds = LATE_INTERVALS * interval_seconds
    uptimes = [worker.uptime_seconds for worker in workers if queue in worker.queues]
    if not interval_seconds or not uptimes or max(uptimes) <= patience_seconds:
        return ""
    last = next((canary for canary in canaries if canary.queue == queue), None)
    if last is None:
        return f"No canary has come through the queue {queue}."
    if last.age_seconds <= patience_seconds:
        return ""
    return f"No canary has come through the queue {queue} for {last.age_seconds:.0f} seconds."


class CanaryLog:
    """The worker's side: notes about canaries in redis-cache. Raises what redis raises."""

    def __init__(self, cache: redis.Redis) -> None:
        self._cache = cache

    @classmethod
    def from_django(cls) -> "CanaryLog":
        return cls(worker_cache())

    def claim(self, queue: str) -> bool:
        """Return whether this canary should run: the first one in half an interval does."""
        half_ms = max(1, round(settings.CANARY_INTERVAL_SECONDS * 1000 / 2))
        return bool(self._cache.set(f"{canary_key(queue)}:claimed", 1, nx=True, px=half_ms))

    def passed(self, queue: str, request: Any) -> None:
        """Note that the canary of this task request has arrived."""
        now = clock.now()
        sent_at = getattr(request, SENT_AT, None) or now
        report = CanaryReport(queue=queue, at=now, seconds=max(0.0, now - sent_at))
        self._cache.set(canary_key(queue), report.model_dump_json(), ex=KEPT_SECONDS)

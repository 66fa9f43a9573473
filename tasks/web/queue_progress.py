"""Which messages have certainly left a queue, and since when: this tells a lost message from one that still waits.

A queue is first in, first out. So every message sent before the oldest waiting one has left the queue: a worker has it,
or it is done, or it was lost. The queue does not record *when* it left; so each observation is kept as a mark in
redis-cache and used once the mark is old enough. The queue need not become empty, which a busy service's never does.

Messages that a worker returns or sends again break this order. Then more messages wait than this module assumes, and
some that count as lost are sent twice, which does no harm.
"""

from typing import Final, NamedTuple

import redis

from tasks import clock
from tasks.config import worker_cache
from tasks.health.inspection import queue_statuses

KEY_PREFIX: Final = "facequeue:left-queue:"
#: A mark that is not read for this long is forgotten.
KEPT_SECONDS: Final = 24 * 3600


class Mark(NamedTuple):
    """At the time `seen_at`, the oldest message that waited had been sent at `oldest_sent_at`."""

    seen_at: float
    oldest_sent_at: float


def left_queue(queue: str, seconds: float) -> float:
    """Return a time by the shared clock: messages sent before it left the queue at least `seconds` ago.

    For a queue that is never empty this advances once every `seconds`; in between it is 0. `seconds` are also
    subtracted as a margin for senders that note the time before they send. For an empty
    queue it is the time `seconds` ago: older messages have left, if perhaps only just. Raises QueueUnavailable.
    """
    [status] = queue_statuses([queue])
    now = clock.now()
    if not status.waiting:
        return now - seconds
    if status.oldest_seconds is None:
        return 0.0
    return _left_before(queue, Mark(now, now - status.oldest_seconds), seconds)


def _left_before(queue: str, seen: Mark, seconds: float) -> float:
    """Return what follows from the last mark, if it is old enough; then, or if there is none, set a new one."""
    # One mark for each patience: a shorter one would replace the mark before it is old enough for a longer one.
    key = f"{KEY_PREFIX}{queue}:{seconds:g}"
    cache = worker_cache()
    try:
        kept: bytes | None = cache.get(key)  # type: ignore[assignment]
        mark = Mark(*map(float, kept.split())) if kept else None
        if mark is not None and seen.seen_at - mark.seen_at < seconds:
            return 0.0
        cache.set(key, f"{seen.seen_at} {seen.oldest_sent_at}", ex=KEPT_SECONDS)
    except redis.RedisError:
        return 0.0  # without redis-cache only an empty queue shows what has left it
    finally:
        cache.close()
    return mark.oldest_sent_at - seconds if mark else 0.0

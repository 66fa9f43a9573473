"""What has certainly left a queue, and when: without it nobody can tell a message that was lost from one that waits.

A queue is first in, first out. So whatever was sent before the oldest message that waits has left the queue: a worker
has it, or it is done, or it was lost. *When* it left, the queue does not say; so what was seen is kept as a mark in
redis-cache, and is of use once the mark is old enough. That needs no empty queue, and a service that is never idle has
none.

Messages that a worker gave back or sends again are out of this order. Then more waits than is said here, and what is
taken for lost is sent twice, which does no harm.
"""

import time
from typing import Final, NamedTuple

import redis

from tasks.config import worker_cache
from tasks.health.inspection import queue_statuses

KEY_PREFIX: Final = "facequeue:passage:"
#: A mark that nobody has asked for in this time is forgotten.
KEPT_SECONDS: Final = 24 * 3600


class Mark(NamedTuple):
    """At the time `seen_at`, the oldest message that waited had been sent at `oldest_sent_at` (both time.time())."""

    seen_at: float
    oldest_sent_at: float


def left_queue(queue: str, seconds: float) -> float:
    """Return a time (time.time()) such that what was sent before it left the queue `seconds` ago, as far as is known.

    Of a queue that never gets empty something new is known once in `seconds`; in between it is 0. `seconds` are also
    taken off for clocks that differ, and for a sender that notes the time a while before it sends. Of an empty queue it
    is only known that what was sent `seconds` ago has left it. Raises QueueUnavailable.
    """
    [status] = queue_statuses([queue])
    now = time.time()
    if not status.waiting:
        return now - seconds
    if status.oldest_seconds is None:
        return 0.0
    return _left_before(queue, Mark(now, now - status.oldest_seconds), seconds)


def _left_before(queue: str, seen: Mark, seconds: float) -> float:
    """Keep what is seen now if there is no mark or the last is old enough; return what follows from the last."""
    key = KEY_PREFIX + queue
    cache = worker_cache()
    try:
        kept: bytes | None = cache.get(key)  # type: ignore[assignment]
        mark = Mark(*map(float, kept.split())) if kept else None
        if mark is not None and seen.seen_at - mark.seen_at < seconds:
            return 0.0
        cache.set(key, f"{seen.seen_at} {seen.oldest_sent_at}", ex=KEPT_SECONDS)
    except redis.RedisError:
        return 0.0  # without redis-cache nothing is known until the queue is empty
    finally:
        cache.close()
    return mark.oldest_sent_at - seconds if mark else 0.0

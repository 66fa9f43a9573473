"""The queue seen from outside: Redis itself, what waits in each queue and for how long, and whether beat ticks."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import redis
from celery.exceptions import OperationalError as CeleryOperationalError
from kombu.exceptions import OperationalError

from tasks import clock
from tasks.app import app
from tasks.context import SENT_AT
from tasks.errors import QueueUnavailable
from tasks.health.reports import WorkerReport

#: Seconds that beat gets to answer a ping; it answers between two ticks.
BEAT_PING_SECONDS: Final = 3.0
#: A message that waits this long while workers are idle is not waiting for its turn.
STUCK_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisStatus:
    """One Redis instance as it describes itself."""

    version: str
    eviction_policy: str


def redis_status(url: str) -> RedisStatus:
    """Ask the instance at `url`. Raises QueueUnavailable."""
    client = redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=1.0)
    try:
        info = client.info()
    except redis.RedisError as error:
        raise QueueUnavailable(str(error)) from error
    finally:
        client.close()
    return RedisStatus(
        version=info["redis_version"],
        eviction_policy=info["maxmemory_policy"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """What waits in a queue; `oldest_seconds` is None when nothing waits, or no message says when it was sent."""

    name: str
    waiting: int
    oldest_seconds: float | None = None
    #: How many of those that wait travel ahead of all others (Priority.FIRST).
    first: int = 0


def stuck_problem(queue: QueueStatus, workers: Iterable[WorkerReport]) -> str:
    """Return a sentence when messages wait although the queue's workers are idle: they have stopped consuming it.

    A queue without workers is left to another finding.
    """
    consumers = [worker for worker in workers if queue.name in worker.queues]
    youngest_seconds = min((worker.uptime_seconds for worker in consumers), default=0.0)
    waited_seconds = min(queue.oldest_seconds or 0.0, youngest_seconds)
    if waited_seconds <= STUCK_SECONDS or any(worker.active_tasks for worker in consumers):
        return ""
    return (
        f"The oldest message in the queue {queue.name} has waited {queue.oldest_seconds:.0f} seconds although its "
        "workers are idle: restart them."
    )


def queue_statuses(queues: Iterable[str]) -> list[QueueStatus]:
    """Return the status of these queues. Raises QueueUnavailable."""
    try:
        with app.connection_for_read() as connection:
            return [_status(connection.default_channel, queue) for queue in queues]
    except (OperationalError, redis.RedisError, OSError) as error:
        raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error


def _status(channel: Any, queue: str) -> QueueStatus:
    # kombu keeps a list for each step of priority, and takes from the right.
    keys = [channel._q_for_pri(queue, step) for step in channel.priority_steps]
    pipeline = channel.client.pipeline(transaction=False)
    for key in keys:
        pipeline.llen(key)
        pipeline.lindex(key, -1)
    answers = pipeline.execute()
    times = [time_ for message in answers[1::2] if message and (time_ := sent_at(message))]
    oldest_seconds = max(0.0, clock.now() - min(times)) if times else None
    return QueueStatus(name=queue, waiting=sum(answers[::2]), oldest_seconds=oldest_seconds, first=answers[0])


def sent_at(message: bytes) -> float | None:
    """Return when a message in a queue was sent, in seconds since the epoch; None if it does not say."""
    sent = json.loads(message)["headers"].get(SENT_AT)
    return sent if isinstance(sent, float) else None


def beat_answers() -> bool:
    """Return whether a beat process answers a ping, which it does only while it ticks. Raises QueueUnavailable."""
    try:
        replies = app.control.inspect(timeout=BEAT_PING_SECONDS).ping() or {}
    except (OperationalError, CeleryOperationalError, redis.RedisError, OSError) as error:
        raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error
    return any(name.startswith("celerybeat@") for name in replies)

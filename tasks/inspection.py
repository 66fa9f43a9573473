"""Looks at the queue from outside, for `manage.py doctor`: Redis itself, queue lengths, and beat's clock."""

from dataclasses import dataclass
from typing import Final

import redis
from celery.exceptions import OperationalError as CeleryOperationalError
from kombu.exceptions import OperationalError

from tasks.app import app
from tasks.errors import QueueUnavailable

#: How long beat gets to answer a ping, in seconds; it answers between two ticks of its clock.
BEAT_PING_SECONDS: Final = 3.0


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


def queue_length(queue: str) -> int:
    """Return how many messages wait in the queue for a worker. Raises QueueUnavailable."""
    try:
        with app.connection_for_read() as connection:
            return int(connection.default_channel.client.llen(queue))  # type: ignore[attr-defined]
    except (OperationalError, redis.RedisError, OSError) as error:
        raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error


def beat_answers() -> bool:
    """Return whether a beat process answers a ping; it does only while its clock ticks. Raises QueueUnavailable."""
    try:
        replies = app.control.inspect(timeout=BEAT_PING_SECONDS).ping() or {}
    except (OperationalError, CeleryOperationalError, redis.RedisError, OSError) as error:
        raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error
    return any(name.startswith("celerybeat@") for name in replies)

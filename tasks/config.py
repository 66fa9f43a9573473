"""What this package takes from Django's settings, in one frozen value."""

from dataclasses import dataclass
from typing import Final, Self

import redis
from django.conf import settings

from tasks.messages.base import Target
from tasks.targets import default_target

#: How long a query image is kept after the search's deadline, for a worker that has just begun to read it.
QUERY_IMAGE_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """Where the queue is, and which model and collection messages are for."""

    redis_url: str
    redis_cache_url: str
    target: Target
    #: At most so many searches are in flight.
    search_queue_bound: int = 64
    #: The deadline of a search that names none.
    search_timeout_seconds: float = 30.0
    #: How often a canary is sent through each queue; 0 sends none.
    canary_interval_seconds: float = 0.0
    #: A gallery whose searches find a smaller share of their matches (0..1) is reported.
    recall_min: float = 0.0

    @classmethod
    def from_django(cls) -> Self:
        return cls(
            redis_url=settings.REDIS_URL,
            redis_cache_url=settings.REDIS_CACHE_URL,
            target=default_target(),
            search_queue_bound=settings.SEARCH_QUEUE_BOUND,
            search_timeout_seconds=settings.SEARCH_TIMEOUT_SECONDS,
            canary_interval_seconds=settings.CANARY_INTERVAL_SECONDS,
            recall_min=settings.RECALL_MIN,
        )


def worker_cache() -> redis.Redis:
    """Return a worker's client of redis-cache, which rides out a pause that would fail a request of the web."""
    return redis.Redis.from_url(
        settings.REDIS_CACHE_URL, socket_timeout=5.0, socket_connect_timeout=3.0, health_check_interval=10
    )

"""What this package takes from Django's settings, in one frozen value."""

from dataclasses import dataclass
from typing import Final, Self

import redis
from django.conf import settings

from tasks.messages import IndexSettings, Target

#: How long a query image is kept after the search's deadline, for a worker that has just begun to read it.
QUERY_IMAGE_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """Where the queue is, and which model and collection messages are for."""

    redis_url: str
    redis_cache_url: str
    target: Target
    #: A search queue of this length takes no more searches.
    search_queue_bound: int = 64
    #: How often a canary is sent through each queue; 0 sends none.
    canary_interval_seconds: float = 0.0
    #: A gallery whose searches find less of their matches (0..1) is worth a sentence.
    recall_min: float = 0.0

    @classmethod
    def from_django(cls) -> Self:
        return cls(
            redis_url=settings.REDIS_URL,
            redis_cache_url=settings.REDIS_CACHE_URL,
            target=default_target(),
            search_queue_bound=settings.SEARCH_QUEUE_BOUND,
            canary_interval_seconds=settings.CANARY_INTERVAL_SECONDS,
            recall_min=settings.RECALL_MIN,
        )


def default_target() -> Target:
    """Return the target that the settings describe: the first generation's."""
    config = settings.COLLECTION_CONFIG
    index = {name: config[name.upper()] for name in IndexSettings.model_fields if config.get(name.upper())}
    return Target(pack=settings.PACK_NAME, collection=config["NAME"], index=IndexSettings(**index))


def worker_cache() -> redis.Redis:
    """Return a worker's client of redis-cache: it outlasts a pause that would cost the web a request."""
    return redis.Redis.from_url(
        settings.REDIS_CACHE_URL, socket_timeout=5.0, socket_connect_timeout=3.0, health_check_interval=10
    )

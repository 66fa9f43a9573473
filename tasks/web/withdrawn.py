"""Withdrawn photos: their job was cancelled, or they or their gallery deleted, after they were sent to a worker.

Nothing takes a message out of a queue. So the web notes the id of the job, gallery or photo in redis-cache, and workers
look there before they read a photo. The notes only save work: the database decides what becomes of an outcome.
"""

import logging
from collections.abc import Collection, Iterable
from typing import Final, cast

import redis
from django.conf import settings

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "facequeue:withdrawn:"
#: Longer than messages wait, in seconds; what is indexed later even so is removed again.
KEPT_SECONDS: Final = 24 * 3600


def withdraw(ids: Iterable[str]) -> None:
    """Note ids of jobs, galleries or photos. Blocks for a few seconds at most. Never raises: a failure is logged."""
    try:
        with (
            redis.Redis.from_url(settings.REDIS_CACHE_URL, socket_timeout=2.0, socket_connect_timeout=1.0) as cache,
            cache.pipeline(transaction=False) as pipe,
        ):
            for each in ids:
                pipe.set(KEY_PREFIX + each, 1, ex=KEPT_SECONDS)
            pipe.execute()
    except redis.RedisError as error:
        logger.warning("Workers may still index photos that nobody wants: %s", error)


class Withdrawn:
    """The workers' side. Without redis-cache nothing counts as withdrawn. Safe to share between threads."""

    def __init__(self, cache: redis.Redis) -> None:
        self._cache = cache

    def among(self, ids: Collection[str]) -> set[str]:
        """Return those of the ids that were withdrawn."""
        asked = [each for each in dict.fromkeys(ids) if each]
        if not asked:
            return set()
        try:
            noted = cast("list[bytes | None]", self._cache.mget([KEY_PREFIX + each for each in asked]))
        except redis.RedisError as error:
            logger.warning("Withdrawn photos are unknown: %s", error)
            return set()
        return {each for each, note in zip(asked, noted, strict=True) if note}

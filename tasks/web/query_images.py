"""Query images on their way to a worker: in redis-cache, under their search's random id, for seconds, never on a disk.

redis-cache keeps no files and may evict. An image that is gone is a coded answer (`query_image_gone`), not a crash.
"""

import logging
from typing import Final

import redis
import redis.asyncio

from tasks.errors import QueueUnavailable

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "facequeue:query-image:"
#: Of one search: two are compared with each other.
MOST_IMAGES: Final = 2


def image_keys(search_id: str, count: int = MOST_IMAGES) -> tuple[str, ...]:
    """Return the keys of so many images of one search."""
    return tuple(f"{KEY_PREFIX}{search_id}:{number}" for number in range(count))


class QueryImageWriter:
    """The web's side."""

    def __init__(self, cache: redis.asyncio.Redis) -> None:
        self._cache = cache

    async def put(self, search_id: str, *images: bytes, ttl_seconds: float) -> tuple[str, ...]:
        """Keep the search's images for `ttl_seconds` and return the keys to give to the worker.

        Raises QueueUnavailable when redis-cache does not accept them.
        """
        keys = image_keys(search_id, len(images))
        try:
            for key, image in zip(keys, images, strict=True):
                await self._cache.set(key, image, px=int(ttl_seconds * 1000))
        except redis.RedisError as error:
            raise QueueUnavailable("The query image could not be handed over: redis-cache does not answer.") from error
        return keys

    async def discard(self, search_id: str) -> None:
        """Forget the search's images: a worker that has not read them yet skips the search. Missing ones are no error.

        Raises QueueUnavailable.
        """
        try:
            await self._cache.delete(*image_keys(search_id))
        except redis.RedisError as error:
            raise QueueUnavailable("redis-cache does not answer.") from error

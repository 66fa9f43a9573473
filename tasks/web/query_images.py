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


def image_key(search_id: str) -> str:
    return KEY_PREFIX + search_id


class QueryImageWriter:
    """The web's side."""

    def __init__(self, cache: redis.asyncio.Redis) -> None:
        self._cache = cache

    async def put(self, search_id: str, image: bytes, *, ttl_seconds: float) -> str:
        """Keep the search's image for `ttl_seconds` and return the key to give to the worker.

        Raises QueueUnavailable when redis-cache does not accept it.
        """
        key = image_key(search_id)
        try:
            await self._cache.set(key, image, px=int(ttl_seconds * 1000))
        except redis.RedisError as error:
            raise QueueUnavailable("The query image could not be handed over: redis-cache does not answer.") from error
        return key

    async def discard(self, search_id: str) -> None:
        """Forget the search's image: a worker that has not read it yet skips the search. A missing one is no error.

        Raises QueueUnavailable.
        """
        try:
            await self._cache.delete(image_key(search_id))
        except redis.RedisError as error:
            raise QueueUnavailable("redis-cache does not answer.") from error

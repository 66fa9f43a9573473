"""The worker's side of query images: read from redis-cache, once."""

import logging
from typing import cast

import redis
import redis.asyncio

from tasks.errors import BadMessage, QueryImageGone, QueueUnavailable
from tasks.web.query_images import KEY_PREFIX

logger = logging.getLogger(__name__)


class QueryImageReader:
    """The worker's side. The connection pool is safe to share between threads."""

    def __init__(self, cache: redis.Redis) -> None:
        self._cache = cache

    def get(self, key: str) -> bytes:
        """Return the bytes. Raises QueryImageGone when they expired or were evicted, QueueUnavailable."""
        if not key.startswith(KEY_PREFIX):
            raise BadMessage("The message names no query image.")
        try:
            image = self._cache.get(key)
        except redis.RedisError as error:
            raise QueueUnavailable("redis-cache does not answer.") from error
        if image is None:
            raise QueryImageGone("The picture waited too long and is gone. Please search again.")
        return cast(bytes, image)

    def discard(self, *keys: str) -> None:
        """Delete the bytes now; if redis-cache does not answer, they expire on their own."""
        try:
            self._cache.delete(*keys)
        except redis.RedisError as error:
            logger.info("A query image stays until it expires: %s", error)

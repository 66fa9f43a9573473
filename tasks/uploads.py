"""Query images on their way to a worker: in redis-cache, under a random key, for seconds, never on a disk.

redis-cache keeps no files and may evict. An image that is gone is a coded answer (`query_image_gone`), not a crash.
"""

import secrets
from typing import Final, cast

import redis
import redis.asyncio

from tasks.errors import BadMessage, QueryImageGone, QueueUnavailable

KEY_PREFIX: Final = "facequeue:query-image:"


class UploadWriter:
    """The web's side."""

    def __init__(self, cache: redis.asyncio.Redis) -> None:
        self._cache = cache

    async def put(self, image: bytes, *, ttl_seconds: float) -> str:
        """Keep the bytes for `ttl_seconds` and return the key to give to the worker.

        Raises QueueUnavailable when redis-cache does not take them.
        """
        key = KEY_PREFIX + secrets.token_urlsafe(24)
        try:
            await self._cache.set(key, image, px=int(ttl_seconds * 1000))
        except redis.RedisError as error:
            raise QueueUnavailable("The query image could not be handed over: redis-cache does not answer.") from error
        return key


class UploadReader:
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

    def discard(self, key: str) -> None:
        """Forget the bytes now instead of at the end of their time."""
        self._cache.delete(key)

"""CachedValues: values in redis-cache that expire, bounded in number and size, and that searches can do without.

A value is a Redis hash whose fields hold JSON or raw float32. Nothing is pickled: what comes back from Redis is read
as numbers and text and cannot run anything.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.vector_search.monitoring import NullRecorder, Recorder

logger = logging.getLogger(__name__)

#: Increase the number when the content of values, or the way faces are detected or embedded, changes without changing
#: the pack's fingerprint: values kept by an earlier release are then no longer found.
KEY_PREFIX: Final = "facequeue:cache:2:"
#: The list of values, by the time at which they expire.
LIST_KEY: Final = f"{KEY_PREFIX}list"
#: Larger values are not kept: some 30 faces, or 600 matches. This limits the memory that `max_values` may take.
MAX_VALUE_BYTES: Final = 64 * 1024
#: Redis answers in less than a millisecond. A search does not wait longer than this for it.
TIMEOUT_SECONDS: Final = 0.5
#: When Redis has not answered, searches do without it for this long, so that only one of them pays for the timeout.
PAUSE_SECONDS: Final = 1.0

#: Starts a script: sets `ms` to the time on Redis' clock in milliseconds, which Lua's numbers hold exactly.
NOW: Final = "local now = redis.call('TIME') local ms = now[1] * 1000 + math.floor(now[2] / 1000) "

#: KEYS: the value, the list of values. ARGV: milliseconds to live, most values, then names and contents of fields.
#: The list has no TTL: evicting it would forget values that still count.
_KEEP = (
    NOW
    + """
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms)
redis.call('ZADD', KEYS[2], ms + ARGV[1], KEYS[1])
local surplus = redis.call('ZCARD', KEYS[2]) - ARGV[2]
if surplus > 0 then
    local oldest = redis.call('ZPOPMIN', KEYS[2], surplus)
    for i = 1, #oldest, 2 do
        redis.call('UNLINK', oldest[i])
    end
end
"""
)

Answer = TypeVar("Answer")


class CachedValues:
    """Keeps values for `ttl_seconds`, at most `max_values` across all processes that share the redis-cache.

    The oldest go first. Safe to share between threads and across a fork. Connects on first use.
    """

    def __init__(
        self, redis_url: str, *, ttl_seconds: float, max_values: int, recorder: Recorder | None = None
    ) -> None:
        self.client: Final = redis.Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # A search goes on without Redis and a write is retried as a whole, so the client's own three retries would
            # only add delay. (Connections broken by a restart are detected and replaced without them.)
            retry=Retry(NoBackoff(), 0),
        )
        self.recorder: Final = recorder or NullRecorder()
        self._ttl_ms = round(ttl_seconds * 1000)
        self._max_values = max_values
        self._paused_until = 0.0
        self._keep = self.client.register_script(_KEEP)

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self.client.close()

    def read(self, key: str, *names: str) -> list[bytes | None]:
        """Return these fields of the value; None for each that is missing, and for all when Redis does not answer."""
        return self.ask(lambda: self.client.hmget(key, *names)) or [None] * len(names)

    def keep(self, key: str, fields: Mapping[str, bytes]) -> None:
        """Keep a value with these fields, unless it is too large or Redis does not answer."""
        if sum(map(len, fields.values())) > MAX_VALUE_BYTES:
            return
        arguments: list[str | bytes | int] = [self._ttl_ms, self._max_values]
        for name, content in fields.items():
            arguments += [name, content]
        self.ask(lambda: self._keep(keys=[key, LIST_KEY], args=arguments))

    def ask(self, command: Callable[[], Any]) -> Any:
        """Return Redis' answer, or None when there is none."""
        if time.monotonic() < self._paused_until:
            return None
        try:
            return command()
        except redis.RedisError as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            self.recorder.record("cache_failures")
            logger.warning("Searching without the cache: %s", error)
            return None


def decoded(decode: Callable[[], Answer]) -> Answer | None:
    """Return `decode()`, or None when the value is not one that this release would have written."""
    try:
        return decode()
    except (ValueError, TypeError, KeyError):
        logger.warning("A cached value cannot be read and is ignored.")
        return None

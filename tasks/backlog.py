"""How many searches wait for a worker: a queue that is longer than its bound takes no more.

A search that would wait longer than its deadline is better refused at once, before its image is uploaded. The queue is
asked once in FRESH_SECONDS for all callers of the process; in between, what this process sent is counted on top.
"""

import asyncio
import time
from typing import Final

import redis
import redis.asyncio

from tasks.errors import QueueUnavailable
from worker.errors import Busy

#: How old an answer of Redis may be.
FRESH_SECONDS: Final = 0.15


class Backlog:
    """The search queue as the web sees it. Belongs to one event loop."""

    def __init__(self, broker: redis.asyncio.Redis, queue: str, *, bound: int) -> None:
        self._broker = broker
        self._queue = queue
        self._bound = bound
        self._length = 0
        self._asked_at = float("-inf")  # time.monotonic()
        self._asking: asyncio.Task[None] | None = None

    async def admit(self) -> None:
        """Count one more search. Raises Busy when as many wait as may, and QueueUnavailable."""
        if time.monotonic() - self._asked_at > FRESH_SECONDS:
            # Whoever comes while Redis is being asked gets the same answer, or the same error.
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            await asyncio.shield(self._asking)
        if self._length >= self._bound:
            raise Busy("More searches wait than the workers can answer soon. Please try again in a moment.")
        self._length += 1

    async def _ask(self) -> None:
        try:
            self._length = await self._broker.llen(self._queue)
        except redis.RedisError as error:
            raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error
        self._asked_at = time.monotonic()

"""How many searches wait for a worker: a queue that has reached its limit takes no more.

A search that would wait longer than its deadline is better refused at once, before its image is uploaded. Redis is
asked once in FRESH_SECONDS for all callers of the process. Searches that the process has let in and not sent yet are
added: otherwise a thousand requests at once would all see a short queue.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final

import redis
import redis.asyncio

from tasks.errors import QueueUnavailable
from worker.errors import Busy

#: How old an answer of Redis may be.
FRESH_SECONDS: Final = 0.15


class Place:
    """A search on its way to the queue, counted by the process until Redis counts it."""

    def __init__(self, backlog: "Backlog") -> None:
        self._backlog = backlog
        self.is_kept = True
        backlog.coming += 1

    def sent(self) -> None:
        """The search is in the queue."""
        if self.is_kept:
            self._backlog.length += 1
        self.give_back()

    def give_back(self) -> None:
        """The search is no longer on its way. Safe to call twice."""
        if self.is_kept:
            self._backlog.coming -= 1
        self.is_kept = False


#: The place that this request already has.
_place: ContextVar[Place | None] = ContextVar("place", default=None)


class Backlog:
    """The search queue as the web sees it. Belongs to one event loop."""

    def __init__(self, broker: redis.asyncio.Redis, queue: str, *, bound: int) -> None:
        self._broker = broker
        self._queue = queue
        self._bound = bound
        self._asked_at = float("-inf")  # time.monotonic()
        self._asking: asyncio.Task[None] | None = None
        self.length = 0
        self.coming = 0

    async def check_room(self) -> None:
        """Raise Busy when as many searches as allowed wait or are on their way, and QueueUnavailable."""
        if time.monotonic() - self._asked_at > FRESH_SECONDS:
            # Callers that arrive while Redis is being asked get the same answer, or the same error.
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            await asyncio.shield(self._asking)
        if self.length + self.coming >= self._bound:
            raise Busy("More searches are waiting than the workers can answer soon. Please try again in a moment.")

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """Keep a place for one search, or use the one that this request already has. Raises what check_room raises."""
        kept = _place.get()
        if kept is not None and kept.is_kept:
            yield kept
            return
        await self.check_room()
        taken = Place(self)
        token = _place.set(taken)
        try:
            yield taken
        finally:
            _place.reset(token)
            taken.give_back()

    async def _ask(self) -> None:
        try:
            self.length = await self._broker.llen(self._queue)
        except redis.RedisError as error:
            raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error
        self._asked_at = time.monotonic()

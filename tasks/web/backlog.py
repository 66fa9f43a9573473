"""The search queue as a web process sees it: Redis' side of `Room`, and the places that requests hold in it.

The process looks every LOOK_SECONDS while it has searches in flight, and otherwise when somebody asks: at the queue,
and at what other processes have in flight. So it decides on its own, at once, without asking Redis for each search;
several processes together may let in a few searches too many between two looks. Belongs to one event loop.
"""

import asyncio
import json
import math
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

import redis
import redis.asyncio

from tasks import clock
from tasks.errors import QueueUnavailable
from tasks.health import metrics
from tasks.health.inspection import sent_at
from tasks.web.room import Full, Room, Seen
from worker.errors import Busy

#: How old a look may be, and how often one is taken, in seconds.
LOOK_SECONDS: Final = 0.15
#: A hash in redis-cache for each queue: by process, what it has in flight.
KEY_PREFIX: Final = "facequeue:in-flight:"
#: What a process that has not written for so many seconds has in flight no longer counts: it has died.
SILENT_SECONDS: Final = 3.0
#: How long after its deadline a search without an answer still counts, in seconds.
GRACE_SECONDS: Final = 1.0

FULL: Final = "More searches are waiting than the workers can answer soon. Please try again in a moment."
SHARE_IS_FULL: Final = "Your searches take your whole share of the room. Please wait until some of them are answered."


class Place:
    """A place for one search, from the moment it is let in: until it is answered, or until it is known not to be."""

    def __init__(self, backlog: "Backlog", client: str) -> None:
        self._backlog = backlog
        self._client = client
        #: Whether no search has it yet.
        self.is_kept = True

    def give_to(self, search_id: str, *, timeout_seconds: float) -> None:
        """Let the search keep the place until it is answered. Call it before the search is sent: answers are quick."""
        self.is_kept = False
        self._backlog.follow(search_id, self._client, timeout_seconds=timeout_seconds)

    def give_back(self) -> None:
        """Give the place back, unless a search keeps it. Safe to call twice."""
        if self.is_kept:
            self.is_kept = False
            self._backlog.room.shares.leave(self._client)


class _Followed(NamedTuple):
    client: str
    until: float  # time.monotonic()


#: The place that this request already has.
_place: ContextVar[Place | None] = ContextVar("place", default=None)


class Backlog:
    """One search queue. `close()` it on its event loop."""

    def __init__(
        self,
        broker: redis.asyncio.Redis,
        cache: redis.asyncio.Redis,
        queue: str,
        *,
        most: int,
        timeout_seconds: float,
    ) -> None:
        """Let at most `most` searches be in flight. `timeout_seconds` is the deadline of those that name none."""
        self._broker, self._cache = broker, cache
        self._queue = queue
        self._process = uuid.uuid4().hex
        self._looked_at = float("-inf")  # time.monotonic()
        self._looking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._followed: dict[str, _Followed] = {}
        self.room = Room(most=most, timeout_seconds=timeout_seconds)

    async def close(self) -> None:
        """Stop looking, and take back what the others are told of this process. Safe to call twice."""
        for task in (self._watching, self._looking):
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError, QueueUnavailable):
                    await task
        with suppress(redis.RedisError):
            await self._cache.hdel(KEY_PREFIX + self._queue, self._process)

    @property
    def unanswered(self) -> list[str]:
        """The ids of this process' searches in flight."""
        return list(self._followed)

    async def check_room(self, client: str, *, timeout_seconds: float | None = None) -> None:
        """Raise Busy when the client may not have one more search in flight, and QueueUnavailable."""
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            await self._look_once()
        try:
            self.room.check(client, at=time.monotonic(), timeout_seconds=timeout_seconds)
        except Full as full:
            sentence = SHARE_IS_FULL if full.is_share else FULL
            raise Busy(sentence, retry_after_seconds=math.ceil(full.return_seconds)) from None

    @asynccontextmanager
    async def place(self, client: str, *, timeout_seconds: float | None = None) -> AsyncIterator[Place]:
        """Keep a place for one search, or use the one that this request already has. Raises what check_room raises."""
        kept = _place.get()
        if kept is not None and kept.is_kept:
            yield kept
            return
        await self.check_room(client, timeout_seconds=timeout_seconds)
        self.room.enter(client)
        taken = Place(self, client)
        token = _place.set(taken)
        self._watch()
        try:
            yield taken
        finally:
            _place.reset(token)
            taken.give_back()

    def follow(self, search_id: str, client: str, *, timeout_seconds: float) -> None:
        """Count the search until it is answered or cancelled, or its deadline has passed."""
        self._followed[search_id] = _Followed(client, time.monotonic() + timeout_seconds + GRACE_SECONDS)

    def answered(self, search_id: str, *, by_worker: bool = True) -> None:
        """A search, of this process or another, has its answer; or it has expired, and no worker did anything."""
        if by_worker:
            self.room.rate.count_answer()
        self.leave(search_id)

    def leave(self, search_id: str) -> None:
        """Forget a search that nobody waits for any more. Safe to call twice."""
        followed = self._followed.pop(search_id, None)
        if followed is not None:
            self.room.shares.leave(followed.client)

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch_until_empty(), name=f"watch-{self._queue}")

    async def _watch_until_empty(self) -> None:
        was_empty = False
        while self.room.shares.own or not was_empty:  # the last look tells the others, and the metrics, of nothing
            await asyncio.sleep(LOOK_SECONDS)
            was_empty = not self.room.shares.own
            with suppress(QueueUnavailable):  # whoever asks for room is told
                await self._look_once()

    async def _look_once(self) -> None:
        """Look; callers that arrive while Redis is being asked get the same answer, or the same error."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        now = time.monotonic()
        for search_id in [id_ for id_, followed in self._followed.items() if followed.until < now]:
            self.leave(search_id)
        try:
            waiting, oldest = await self._queue_now()
            others = await self._others_now()
        except redis.RedisError as error:
            raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error
        self._looked_at = time.monotonic()
        self.room.look(Seen(waiting=waiting, oldest_seconds=oldest, others=others), at=self._looked_at)
        metrics.SEARCHES_IN_FLIGHT.labels(self._queue).set(self.room.shares.own.total())
        metrics.SEARCH_BOUND.labels(self._queue).set(self.room.bound())

    async def _queue_now(self) -> tuple[int, float]:
        """Return how many messages wait, and for how long the oldest has waited."""
        pipeline = self._broker.pipeline(transaction=False)
        pipeline.llen(self._queue)
        pipeline.lindex(self._queue, -1)  # kombu takes from the right
        waiting, oldest = await pipeline.execute()
        sent = sent_at(oldest) if oldest else None
        return waiting, 0.0 if sent is None else max(0.0, clock.now() - sent)

    async def _others_now(self) -> Mapping[str, int]:
        """Write what this process has in flight; return what the others have, by client."""
        key, own, now = KEY_PREFIX + self._queue, dict(self.room.shares.own), clock.now()
        pipeline = self._cache.pipeline(transaction=False)
        if own:
            pipeline.hset(key, self._process, json.dumps({"at": now, "in_flight": own}))
            pipeline.pexpire(key, int(SILENT_SECONDS * 1000))
        else:
            pipeline.hdel(key, self._process)
        pipeline.hgetall(key)
        written: dict[bytes, bytes] = (await pipeline.execute())[-1]
        found: Counter[str] = Counter()
        for process, value in written.items():
            each: dict[str, Any] = json.loads(value)
            if process.decode() != self._process and now - each["at"] < SILENT_SECONDS:
                found.update(each["in_flight"])
        return found

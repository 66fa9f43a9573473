"""ResultListener: one Redis subscription per web process wakes everybody who waits for a result.

Celery's Redis backend stores a result under `celery-task-meta-<task id>` and publishes it on a channel of the same
name. One pattern subscription to those channels therefore carries every result; a waiter is one future in a
dictionary. It holds no thread and no connection. What a dropped connection may have missed is fetched by asking
for the keys of all waiters, after each reconnect and every few seconds.
"""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

import redis
import redis.asyncio
from redis.asyncio.client import PubSub
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from tasks.errors import QueueUnavailable

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "celery-task-meta-"
#: States after which Celery no longer changes a result.
FINAL_STATES: Final = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
#: The safety net: how often the keys of all waiters are asked for, in seconds.
POLL_INTERVAL_SECONDS: Final = 5.0
RECONNECT_DELAY_SECONDS: Final = 0.5
#: A subscription that is silent for this many seconds is pinged, and given up if it stays silent.
SILENCE_SECONDS: Final = 5.0

#: What Celery stores: `status`, `result` and more.
Meta = dict[str, Any]


class ResultListener:
    """Waits for task results. Belongs to one event loop; `open()` and `close()` it there."""

    def __init__(
        self,
        redis_url: str,
        *,
        on_published: Callable[[Meta], None] = lambda _: None,
        on_stored: Callable[[Meta], None] = lambda _: None,
        also: Callable[[], Iterable[str]] = tuple,
        socket_timeout_seconds: float = 2.0,
        poll_interval_seconds: float = POLL_INTERVAL_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """`on_published` is called once for each final result of any process, unless the subscription was just broken.

        `on_stored` is called, perhaps again, for each that is read afterwards: those that calls of `wait` ask for, and
        those that `also` names.
        """
        self._on_published, self._on_stored, self._also = on_published, on_stored, also
        self._poll_interval_seconds = poll_interval_seconds
        self._silence_seconds = silence_seconds
        # Two connections for reading keys, whatever the number of waiters, and one for the subscription.
        # None of them retries: callers have their own deadlines.
        no_retry = Retry(ExponentialBackoff(), 0)
        self._reader = redis.asyncio.Redis(
            connection_pool=redis.asyncio.BlockingConnectionPool.from_url(
                redis_url,
                max_connections=2,
                timeout=socket_timeout_seconds,
                socket_timeout=socket_timeout_seconds,
                socket_connect_timeout=socket_timeout_seconds,
                retry=no_retry,
            )
        )
        self._subscriber = redis.asyncio.Redis.from_url(
            redis_url,
            socket_connect_timeout=socket_timeout_seconds,
            socket_keepalive=True,
            retry=no_retry,
        )
        self._waiters: defaultdict[str, set[asyncio.Future[Meta | None]]] = defaultdict(set)
        self._background: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """How many calls of `wait` are under way."""
        return sum(len(futures) for futures in self._waiters.values())

    async def open(self) -> None:
        if not self._background:
            self._background = [
                asyncio.create_task(self._listen(), name="results-listen"),
                asyncio.create_task(self._poll(), name="results-poll"),
            ]

    async def close(self) -> None:
        """Stop listening; everyone who still waits gets None. Safe to call twice."""
        while running := [task for task in self._background if not task.done()]:
            # redis-py 8.1 swallows a cancellation that reaches it while it connects: cancel until it takes effect.
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=0.2)
        self._background = []
        for future in [future for futures in self._waiters.values() for future in futures]:
            if not future.done():
                future.set_result(None)
        await self._reader.aclose()
        await self._subscriber.aclose()

    async def wait(self, task_id: str, *, timeout_seconds: float) -> Meta | None:
        """Return the task's final result as Celery stored it, or None when there is none within the timeout.

        Raises QueueUnavailable when Redis does not answer at the start; a Redis that fails later is waited for.
        """
        future: asyncio.Future[Meta | None] = asyncio.get_running_loop().create_future()
        self._waiters[task_id].add(future)
        try:
            # Register first, then ask: a result that arrives in between is seen one way or the other.
            await self._deliver_stored([task_id])
            return await asyncio.wait_for(future, timeout_seconds)
        except TimeoutError:
            return None
        finally:
            self._waiters[task_id].discard(future)
            if not self._waiters[task_id]:
                del self._waiters[task_id]

    async def _deliver_stored(self, task_ids: Iterable[str]) -> None:
        """Ask Redis for these results and hand out those that exist."""
        keys = [KEY_PREFIX + task_id for task_id in task_ids]
        if not keys:
            return
        try:
            values = await self._reader.mget(keys)
        except redis.RedisError as error:
            raise QueueUnavailable("The queue does not answer: Redis is down or busy.") from error
        for value in values:
            if value is not None:
                self._deliver(value, self._on_stored)

    def _deliver(self, value: bytes | str, tell: Callable[[Meta], None]) -> None:
        meta: Meta = json.loads(value)
        if meta["status"] not in FINAL_STATES:
            return
        tell(meta)
        for future in self._waiters.get(meta["task_id"], ()):
            if not future.done():
                future.set_result(meta)

    async def _listen(self) -> None:
        """Keep one subscription alive for ever; after each (re)connect fetch what was missed."""
        while True:
            try:
                async with self._subscriber.pubsub(ignore_subscribe_messages=True) as subscription:
                    await subscription.psubscribe(KEY_PREFIX + "*")
                    await self._deliver_stored({*self._waiters, *self._also()})
                    await self._receive(subscription)
            except (redis.RedisError, OSError, QueueUnavailable) as error:
                logger.warning("Lost the result subscription, connecting again: %s", error)
            await asyncio.sleep(RECONNECT_DELAY_SECONDS)

    async def _receive(self, subscription: PubSub) -> None:
        """Hand out what arrives, until the connection breaks or is silently dead. Raises RedisError, OSError."""
        is_asked = False
        while True:
            message = await subscription.get_message(timeout=self._silence_seconds)
            if message is None:
                if is_asked:
                    raise redis.TimeoutError("Redis is silent.")
                await subscription.ping()
            elif message["type"] == "pmessage":
                self._deliver(message["data"], self._on_published)
            is_asked = message is None

    async def _poll(self) -> None:
        """The safety net under a subscription that is open but silent."""
        while True:
            await asyncio.sleep(self._poll_interval_seconds)
            with suppress(QueueUnavailable):  # the subscription's own reconnect reports it
                await self._deliver_stored({*self._waiters, *self._also()})

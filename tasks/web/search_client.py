"""SearchClient: searches through Redis and the search workers. `search_client()` is the process' own.

Sends tasks by name; imports no model and no Milvus.
"""

import asyncio
import contextvars
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, NamedTuple, Self
from uuid import UUID

import redis
import redis.asyncio
from cachetools import TTLCache
from celery.result import denied_join_result
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks import clock, queues
from tasks.config import QUERY_IMAGE_GRACE_SECONDS, QueueConfig
from tasks.errors import NoAnswer, QueueUnavailable, SearchExpired
from tasks.health import canaries, checks, clocks, live_recall, metrics, reports
from tasks.health.checks import HealthReport
from tasks.messages.answers import A, Answer
from tasks.messages.base import ErrorInfo, Message, Target
from tasks.messages.detect import DetectRequest
from tasks.messages.search import SearchedFaces, SearchRequest
from tasks.messages.verify import VerifyRequest
from tasks.sending import send
from tasks.web.backlog import Backlog
from tasks.web.interfaces import Searches
from tasks.web.query_images import QueryImageWriter
from tasks.web.results import Meta, ResultListener
from worker.errors import NotOpen
from worker.metrics import MetricsSummary, SearchMetrics

#: Publishing is blocking I/O. It runs on these threads, never on the event loop; a message takes about 1 ms.
PUBLISHER_THREADS: Final = 4
#: Connections to redis-cache; a query image is handed over in milliseconds, further ones wait for their turn.
CACHE_CONNECTIONS: Final = 8

#: Makes the message, from its target and the keys of its images.
MakeRequest = Callable[[Target, tuple[str, ...]], Message]


class _UnderWay(NamedTuple):
    started: float  # time.monotonic()
    timeout_seconds: float


class SearchClient(Searches):
    """Searches from an event loop. One for each process: `async with SearchClient() as service`."""

    def __init__(
        self, config: QueueConfig | None = None, *, active_target: Callable[[], Awaitable[Target]] | None = None
    ) -> None:
        """`active_target` says what is searched now; without it, what the settings describe."""
        self._config = config or QueueConfig.from_django()
        self._active_target = active_target or self._configured_target
        self._backlogs: dict[str, Backlog] = {}
        self._metrics = SearchMetrics()
        self._under_way: TTLCache[str, _UnderWay] = TTLCache(maxsize=10_000, ttl=3600)
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._cache = redis.asyncio.Redis(
            connection_pool=redis.asyncio.BlockingConnectionPool.from_url(
                self._config.redis_cache_url,
                max_connections=CACHE_CONNECTIONS,
                timeout=5.0,
                socket_timeout=2.0,
                socket_connect_timeout=1.0,
            )
        )
        self._query_images = QueryImageWriter(self._cache)
        self._broker = redis.asyncio.Redis.from_url(
            self._config.redis_url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        # Celery would subscribe to every task it sends, with a connection per publishing thread; the listener has
        # one for all. It also makes AsyncResult.get() an error: nothing in this process may block on a result.
        self._no_blocking_results = denied_join_result()
        self._no_blocking_results.__enter__()
        self._listener = ResultListener(
            self._config.redis_url, on_published=self._published, on_stored=self._stored, also=self._unanswered
        )
        self._publishers = ThreadPoolExecutor(PUBLISHER_THREADS, thread_name_prefix="publish")
        await asyncio.to_thread(clock.now)  # its first use blocks
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        self._no_blocking_results.__exit__(None, None, None)
        for backlog in self._backlogs.values():
            await backlog.close()
        await self._listener.close()
        await self._cache.aclose()
        await self._broker.aclose()
        self._publishers.shutdown(wait=False)

    async def start_search(
        self,
        query: bytes | UUID,
        *,
        gallery_ids: tuple[str, ...],
        limit: int = 10,
        min_similarity: float | None = None,
        faces: SearchedFaces = "all",
        timeout_seconds: float = 30.0,
        client: str = "",
    ) -> str:
        """See `Searches`."""

        def request(target: Target, keys: tuple[str, ...]) -> SearchRequest:
            return SearchRequest(
                target=target,
                gallery_ids=gallery_ids,
                image_key=keys[0] if keys else "",
                face_id="" if keys else str(query),
                limit=limit,
                min_similarity=min_similarity,
                faces=faces,
            )

        images = (query,) if isinstance(query, bytes) else ()
        started = time.monotonic()
        search_id = await self._start(request, images, timeout_seconds=timeout_seconds, client=client)
        self._under_way[search_id] = _UnderWay(started=started, timeout_seconds=timeout_seconds)
        return search_id

    async def start_verification(
        self,
        images: tuple[bytes, bytes],
        *,
        min_similarity: float | None = None,
        timeout_seconds: float = 30.0,
        client: str = "",
    ) -> str:
        """See `Searches`."""

        def request(target: Target, keys: tuple[str, ...]) -> VerifyRequest:
            first, second = keys
            return VerifyRequest(target=target, image_keys=(first, second), min_similarity=min_similarity)

        return await self._start(request, images, timeout_seconds=timeout_seconds, client=client)

    async def start_detection(self, image: bytes, *, timeout_seconds: float = 30.0, client: str = "") -> str:
        """See `Searches`."""

        def request(target: Target, keys: tuple[str, ...]) -> DetectRequest:
            return DetectRequest(target=target, image_key=keys[0])

        return await self._start(request, (image,), timeout_seconds=timeout_seconds, client=client)

    async def _start(
        self, request: MakeRequest, images: Sequence[bytes], *, timeout_seconds: float, client: str
    ) -> str:
        """Send the request with its images, and return its id. Raises as `Searches.start_search`."""
        if not self._is_open:
            raise NotOpen("Write `async with SearchClient() as service:` around the call.")
        target = await self._active_target()
        queue = queues.search_queue(target.pack)
        await self._listener.open()  # not before: a command that only asks for health subscribes to nothing
        backlog = self._backlog(queue)
        async with backlog.place(client, timeout_seconds=timeout_seconds) as place:
            search_id = str(uuid.uuid4())
            keys = await self._query_images.put(
                search_id, *images, ttl_seconds=timeout_seconds + QUERY_IMAGE_GRACE_SECONDS
            )
            message = request(target, keys)
            publish = partial(send, message, queue=queue, task_id=search_id, expires=timeout_seconds)
            # In this request's context: its id goes into the message.
            context = contextvars.copy_context()
            place.give_to(search_id, timeout_seconds=timeout_seconds)
            try:
                await asyncio.get_running_loop().run_in_executor(self._publishers, context.run, publish)
            except BaseException:
                backlog.leave(search_id)
                raise
        return search_id

    async def check_room(self, client: str) -> None:
        """See `Searches`."""
        await (await self._active_backlog()).check_room(client)

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[None]:
        """See `Searches`."""
        async with (await self._active_backlog()).place(client):
            yield

    async def wait_for_answer(self, search_id: str, kind: type[A], *, timeout_seconds: float) -> A | None:
        """See `Searches`. Holds no thread."""
        await self._listener.open()
        meta = await self._listener.wait(search_id, timeout_seconds=timeout_seconds)
        answer = None if meta is None else _answer(meta, kind)
        self._measure(search_id, answer)
        return answer

    async def cancel_search(self, search_id: str) -> None:
        """Keep workers from starting this search: one that finds no image runs no model. Safe to call twice.

        A redis-cache that does not answer is no error: the search then ends at its deadline.
        """
        for backlog in self._backlogs.values():
            backlog.leave(search_id)
        with suppress(QueueUnavailable):
            await self._query_images.discard(search_id)

    async def _configured_target(self) -> Target:
        return self._config.target

    async def _active_backlog(self) -> Backlog:
        return self._backlog(queues.search_queue((await self._active_target()).pack))

    def _backlog(self, queue: str) -> Backlog:
        if queue not in self._backlogs:
            self._backlogs[queue] = Backlog(
                self._broker,
                self._cache,
                queue,
                most=self._config.search_queue_bound,
                timeout_seconds=self._config.search_timeout_seconds,
            )
        return self._backlogs[queue]

    def _published(self, meta: Meta) -> None:
        for backlog in self._backlogs.values():
            backlog.answered(meta["task_id"], by_worker=meta["status"] != "REVOKED")

    def _stored(self, meta: Meta) -> None:
        for backlog in self._backlogs.values():
            backlog.leave(meta["task_id"])

    def _unanswered(self) -> list[str]:
        return [search_id for backlog in self._backlogs.values() for search_id in backlog.unanswered]

    def _measure(self, search_id: str, result: Answer | None) -> None:
        """Count a search of this process once it is answered or its time is up."""
        under_way = self._under_way.get(search_id)
        if under_way is None:
            return
        seconds = time.monotonic() - under_way.started
        if result is not None or seconds >= under_way.timeout_seconds:
            del self._under_way[search_id]
            metrics.SEARCH.labels(_outcome(result)).observe(seconds)
            self._metrics.record(response_time_ms=seconds * 1000, failed=result is None or result.error is not None)

    @property
    def waiting(self) -> int:
        """How many searches this process waits for now."""
        return self._listener.waiting

    async def health_check(self) -> HealthReport:
        """Read what the workers report. Never raises: the report of a service that is down says so."""
        target = await self._active_target()
        try:
            keys = [key async for key in self._cache.scan_iter(match=reports.KEY_PREFIX + "*", count=1000)]
            values = await self._cache.mget(sorted(keys)) if keys else []
            names_ = (*queues.gpu_queues(target.pack), queues.RECORDS)
            passed = await self._cache.mget([canaries.canary_key(queue) for queue in names_])
            recalls = await live_recall.published(self._cache, target.collection)
            reported_clocks = await clocks.published(self._cache)
        except redis.RedisError:
            return checks.unreachable()
        workers = tuple(reports.WorkerReport.model_validate_json(value) for value in values if value)
        passed_canaries = tuple(canaries.CanaryReport.model_validate_json(value) for value in passed if value)
        return checks.judge(
            workers,
            target,
            passed_canaries,
            recalls,
            clocks=reported_clocks,
            canary_interval_seconds=self._config.canary_interval_seconds,
            recall_min=self._config.recall_min,
        )

    def get_metrics_summary(self) -> MetricsSummary:
        """Summarise the searches that this process has started and waited for."""
        return self._metrics.summary()


_client: Searches | None = None


def set_search_client(client: Searches | None) -> None:
    """Set the process' search client. The ASGI lifespan calls this."""
    global _client
    _client = client


def search_client() -> Searches:
    """Return the process' search client. Raises NotOpen when it has none: only web processes keep one open."""
    if _client is None:
        raise NotOpen("This process has no open SearchClient: run it under ASGI, or open one yourself.")
    return _client


@asynccontextmanager
async def open_search_client(*, active_target: Callable[[], Awaitable[Target]]) -> AsyncIterator[Searches]:
    """Yield the process' search client. Where there is none, as in a command, open one for this block."""
    if _client is not None:
        yield _client
        return
    async with SearchClient(active_target=active_target) as client:
        yield client


def _outcome(result: Answer | None) -> str:
    """Return the search's code for the metrics."""
    if result is None:
        return NoAnswer.code
    return result.error.code if result.error else "ok"


def _answer(meta: Meta, kind: type[A]) -> A:
    """Translate what Celery stored into the answer."""
    if meta["status"] == "SUCCESS":
        return kind.from_json(meta["result"])
    if meta["status"] == "REVOKED":
        [reason] = meta["result"]["exc_message"]  # what the worker stored (tasks/clock/requests.py)
        error = ErrorInfo(code=SearchExpired.code, message=str(SearchExpired.because(reason)))
    else:
        error = ErrorInfo(code="internal", message="The search failed in the worker; its log says why.")
    return kind(error=error)

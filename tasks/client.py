"""What the web calls: FaceSearchService for searches, and three plain functions for bulk work.

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

import redis
import redis.asyncio
from cachetools import TTLCache
from celery.result import denied_join_result
from pydantic import BaseModel, ConfigDict
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks import canary, health, live_recall, metrics, names, queues
from tasks.backlog import Backlog
from tasks.config import QUERY_IMAGE_GRACE_SECONDS, QueueConfig
from tasks.errors import NoAnswer, QueueUnavailable, SearchExpired
from tasks.messages import (
    CheckRequest,
    CopyRequest,
    DropRequest,
    ErrorInfo,
    IndexRequest,
    MeasureRequest,
    PhotoRef,
    RecallSample,
    RemoveRequest,
    SearchedFaces,
    SearchRequest,
    SearchResult,
    StrayRequest,
    Target,
)
from tasks.results import Meta, ResultListener
from tasks.sending import send
from tasks.uploads import UploadWriter
from worker.errors import NotOpen
from worker.metrics import MetricsSummary, SearchMetrics

#: Publishing is blocking I/O. It runs on these threads, never on the event loop; a message takes about 1 ms.
PUBLISHER_THREADS: Final = 4
#: Connections to redis-cache; a query image is handed over in milliseconds, further ones wait for their turn.
CACHE_CONNECTIONS: Final = 8


class HealthReport(BaseModel):
    """The service as its workers describe it. Reading it costs a few Redis commands and never touches Milvus."""

    model_config = ConfigDict(frozen=True)

    is_healthy: bool
    connection_status: str  # of the search workers to Milvus: "connected" | "disconnected" | "unknown"
    collection_status: str  # "loaded" | "released" | "missing" | "unknown"
    workers: tuple[health.WorkerReport, ...]
    canaries: tuple[canary.CanaryReport, ...] = ()
    #: Of the galleries that were searched lately, in the active collection.
    recalls: tuple[live_recall.GalleryRecall, ...] = ()
    #: One sentence each; empty when the service is healthy.
    problems: tuple[str, ...]


class _UnderWay(NamedTuple):
    started: float  # time.monotonic()
    timeout_seconds: float


class FaceSearchService:
    """Searches from an event loop. One for each process: `async with FaceSearchService() as service`."""

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
        self._uploads = UploadWriter(self._cache)
        self._broker = redis.asyncio.Redis.from_url(
            self._config.redis_url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        # Celery would subscribe to every task it sends, with a connection per publishing thread; the listener has
        # one for all. It also makes AsyncResult.get() an error: nothing in this process may block on a result.
        self._no_blocking_results = denied_join_result()
        self._no_blocking_results.__enter__()
        self._listener = ResultListener(self._config.redis_url)
        await self._listener.open()
        self._publishers = ThreadPoolExecutor(PUBLISHER_THREADS, thread_name_prefix="publish")
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        self._no_blocking_results.__exit__(None, None, None)
        await self._listener.close()
        await self._cache.aclose()
        await self._broker.aclose()
        self._publishers.shutdown(wait=False)

    async def search_faces_in_image(
        self,
        image: bytes,
        *,
        gallery_id: str,
        limit: int = 10,
        min_similarity: float | None = None,
        faces: SearchedFaces = "all",
        timeout_seconds: float = 30.0,
    ) -> SearchResult:
        """Search the gallery for every face of the image, or for its largest, and wait for the answer.

        `min_similarity` None asks for the pack's own threshold. A picture that is none comes back as
        `SearchResult.error`; what the service itself cannot do is raised: QueueUnavailable, NoAnswer.
        """
        job_id = await self.start_search(
            image,
            gallery_id=gallery_id,
            limit=limit,
            min_similarity=min_similarity,
            faces=faces,
            timeout_seconds=timeout_seconds,
        )
        try:
            result = await self.wait_for_search(job_id, timeout_seconds=timeout_seconds)
        except asyncio.CancelledError:
            await self.cancel_search(job_id)
            raise
        if result is None:
            raise NoAnswer(f"No search worker answered within {timeout_seconds:g} seconds.")
        return result

    async def start_search(
        self,
        image: bytes,
        *,
        gallery_id: str,
        limit: int = 10,
        min_similarity: float | None = None,
        faces: SearchedFaces = "all",
        timeout_seconds: float = 30.0,
    ) -> str:
        """Hand the image to the search workers and return the job's id at once.

        A search that no worker began within `timeout_seconds` is dropped. Raises Busy when too many wait already, and
        QueueUnavailable.
        """
        if not self._is_open:
            raise NotOpen("Write `async with FaceSearchService() as service:` around the call.")
        target = await self._active_target()
        queue = queues.search_queue(target.pack)
        async with self._backlog(queue).place() as place:
            job_id = str(uuid.uuid4())
            upload_key = await self._uploads.put(job_id, image, ttl_seconds=timeout_seconds + QUERY_IMAGE_GRACE_SECONDS)
            request = SearchRequest(
                target=target,
                gallery_id=gallery_id,
                upload_key=upload_key,
                limit=limit,
                min_similarity=min_similarity,
                faces=faces,
            )
            publish = partial(send, names.SEARCH_FACES, request, queue=queue, task_id=job_id, expires=timeout_seconds)
            self._under_way[job_id] = _UnderWay(started=time.monotonic(), timeout_seconds=timeout_seconds)
            # In this request's context: its id goes into the message.
            context = contextvars.copy_context()
            await asyncio.get_running_loop().run_in_executor(self._publishers, context.run, publish)
            place.sent()
        return job_id

    async def check_room(self) -> None:
        """Raises Busy when too many searches wait already, and QueueUnavailable."""
        await (await self._active_backlog()).check_room()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Keep a place in the queue for a search that this block starts. Raises Busy, QueueUnavailable."""
        async with (await self._active_backlog()).place():
            yield

    async def wait_for_search(self, job_id: str, *, timeout_seconds: float) -> SearchResult | None:
        """Return the answer, or None when there is none in time. Holds no thread. Raises QueueUnavailable."""
        meta = await self._listener.wait(job_id, timeout_seconds=timeout_seconds)
        result = None if meta is None else _search_result(meta)
        self._measure(job_id, result)
        return result

    async def cancel_search(self, job_id: str) -> None:
        """Let nobody begin this search any more: a worker that finds no image runs no model. Safe to call twice.

        A redis-cache that does not answer is no error: the search then ends at its deadline.
        """
        with suppress(QueueUnavailable):
            await self._uploads.discard(job_id)

    async def _configured_target(self) -> Target:
        return self._config.target

    async def _active_backlog(self) -> Backlog:
        return self._backlog(queues.search_queue((await self._active_target()).pack))

    def _backlog(self, queue: str) -> Backlog:
        if queue not in self._backlogs:
            self._backlogs[queue] = Backlog(self._broker, queue, bound=self._config.search_queue_bound)
        return self._backlogs[queue]

    def _measure(self, job_id: str, result: SearchResult | None) -> None:
        """Count a search of this process once it is answered or its time is up."""
        under_way = self._under_way.get(job_id)
        if under_way is None:
            return
        seconds = time.monotonic() - under_way.started
        if result is not None or seconds >= under_way.timeout_seconds:
            del self._under_way[job_id]
            metrics.SEARCH.labels(_outcome(result)).observe(seconds)
            self._metrics.record(response_time_ms=seconds * 1000, failed=result is None or result.error is not None)

    @property
    def waiting(self) -> int:
        """How many searches this process waits for now."""
        return self._listener.waiting

    async def health_check(self) -> HealthReport:
        """Read what the workers say of themselves. Never raises for a service that is down: it says so."""
        target = await self._active_target()
        try:
            keys = [key async for key in self._cache.scan_iter(match=health.KEY_PREFIX + "*", count=1000)]
            values = await self._cache.mget(sorted(keys)) if keys else []
            names_ = (*queues.gpu_queues(target.pack), queues.RECORDS)
            passed = await self._cache.mget([canary.canary_key(queue) for queue in names_])
            recalls = await live_recall.published(self._cache, target.collection)
        except redis.RedisError:
            return _unreachable("redis-cache does not answer.")
        workers = tuple(health.WorkerReport.model_validate_json(value) for value in values if value)
        canaries = tuple(canary.CanaryReport.model_validate_json(value) for value in passed if value)
        return _judge(
            workers,
            target,
            canaries,
            recalls,
            canary_interval_seconds=self._config.canary_interval_seconds,
            recall_min=self._config.recall_min,
        )

    def get_metrics_summary(self) -> MetricsSummary:
        """Summarise the searches that this process has started and waited for."""
        return self._metrics.summary()


_service: FaceSearchService | None = None


def set_face_search(service: FaceSearchService | None) -> None:
    """Name the process' service; the ASGI lifespan calls this."""
    global _service
    _service = service


def face_search() -> FaceSearchService:
    """Return the process' opened service. Raises NotOpen outside a web process."""
    if _service is None:
        raise NotOpen("This process has no open FaceSearchService: run it under ASGI, or open one yourself.")
    return _service


# -- bulk work: called by services after commit, from synchronous code --------------------------------------


def enqueue_index(*, target: Target, gallery_id: str, photos: Sequence[PhotoRef], queue: str) -> None:
    """Ask the queue's workers, of the target's pack, for one chunk of photos. Raises QueueUnavailable."""
    request = IndexRequest(target=target, gallery_id=gallery_id, photos=tuple(photos))
    send(names.INDEX_PHOTOS, request, queue=queue, ignore_result=True)


def enqueue_removal(*, targets: Sequence[Target], gallery_id: str, photo_ids: Sequence[str]) -> None:
    """Ask an index worker of the first target's pack to delete the faces of these photos from all targets.

    Raises QueueUnavailable.
    """
    request = RemoveRequest(targets=tuple(targets), gallery_id=gallery_id, photo_ids=tuple(photo_ids))
    send(names.REMOVE_PHOTOS, request, queue=queues.index_queue(targets[0].pack), ignore_result=True)


def enqueue_copy(request: CopyRequest) -> None:
    """Ask a re-index worker to copy a range of photos. Raises QueueUnavailable."""
    send(names.COPY_FACES, request, queue=queues.reindex_queue(request.target.pack), ignore_result=True)


def enqueue_measurement(request: MeasureRequest, *, queue: str) -> None:
    """Ask the queue's workers, of the target's pack, to measure a collection. Raises QueueUnavailable."""
    send(names.MEASURE_COLLECTION, request, queue=queue, ignore_result=True)


def enqueue_drop(request: DropRequest, *, pack: str) -> None:
    """Ask an index worker of `pack` to delete a collection. Raises QueueUnavailable."""
    send(names.DROP_COLLECTION, request, queue=queues.index_queue(pack), ignore_result=True)


def enqueue_check(request: CheckRequest | StrayRequest, *, expires_seconds: float) -> None:
    """Ask a re-index worker to compare a collection with the database, within this time. Raises QueueUnavailable."""
    name = names.CHECK_FACES if isinstance(request, CheckRequest) else names.FIND_STRAYS
    queue = queues.reindex_queue(request.target.pack)
    send(name, request, queue=queue, ignore_result=True, expires=expires_seconds)


def enqueue_recall_sample(sample: RecallSample, *, expires_seconds: float) -> None:
    """Ask a search worker what its searches have lost lately. Raises QueueUnavailable."""
    queue = queues.search_queue(sample.target.pack)
    send(names.SAMPLE_RECALL, sample, queue=queue, ignore_result=True, expires=expires_seconds)


# -- helpers --------------------------------------------------------------------------------------------------


def _outcome(result: SearchResult | None) -> str:
    """Return the search's code for the metrics."""
    if result is None:
        return NoAnswer.code
    return result.error.code if result.error else "ok"


def _search_result(meta: Meta) -> SearchResult:
    """Translate what Celery stored into the answer."""
    if meta["status"] == "SUCCESS":
        return SearchResult.from_json(meta["result"])
    if meta["status"] == "REVOKED":
        error = ErrorInfo(code=SearchExpired.code, message=SearchExpired.sentence)
    else:
        error = ErrorInfo(code="internal", message="The search failed in the worker; its log says why.")
    return SearchResult(error=error)


def _unreachable(problem: str) -> HealthReport:
    return HealthReport(
        is_healthy=False,
        connection_status="unknown",
        collection_status="unknown",
        workers=(),
        problems=(problem,),
    )


def _judge(
    workers: tuple[health.WorkerReport, ...],
    target: Target,
    canaries: tuple[canary.CanaryReport, ...] = (),
    recalls: tuple[live_recall.GalleryRecall, ...] = (),
    *,
    canary_interval_seconds: float = 0.0,
    recall_min: float = 0.0,
) -> HealthReport:
    """Tell from the reports whether each queue of the active pack has a healthy worker."""
    problems = [f"{worker.name}: {worker.problem}" for worker in workers if not worker.is_healthy]
    for queue in queues.needed_queues(target.pack):
        if not any(queue in worker.queues and worker.is_healthy for worker in workers):
            problems.append(f"No healthy worker consumes the queue {queue}.")
    # A worker that serves but has something to say, such as what its index loses, does not make the service unready.
    remarks = [f"{worker.name}: {worker.problem}" for worker in workers if worker.is_healthy and worker.problem]
    for queue in queues.needed_queues(target.pack):
        if late := canary.canary_problem(queue, canaries, workers, interval_seconds=canary_interval_seconds):
            remarks.append(late)
    if lossy := live_recall.recall_problem(recalls, least=recall_min):
        remarks.append(lossy)
    search_queue = queues.search_queue(target.pack)
    # One worker that reaches the collection is enough to answer searches: show the best report.
    searchers = sorted(
        (worker for worker in workers if search_queue in worker.queues),
        key=lambda worker: (
            worker.collection == target.collection,
            worker.is_healthy,
            worker.collection_status == "loaded",
        ),
    )
    best = searchers[-1] if searchers else None
    return HealthReport(
        is_healthy=not problems,
        connection_status=best.connection_status if best else "unknown",
        collection_status=best.collection_status if best else "unknown",
        workers=workers,
        canaries=canaries,
        recalls=recalls,
        problems=(*problems, *remarks),
    )

"""What a worker process opens and closes, and when.

It follows from the queues that the worker consumes: a process with a GPU queue opens one FaceIndex for all its
threads, the records worker opens none. Celery's `worker_process_init` is not sent to a threads pool, so the engine
opens on the worker's own start signal, before the first message is taken.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

import celery
import psutil
from celery.signals import celeryd_init, worker_init, worker_shutdown
from celery.worker import state as celery_state
from django.conf import settings

from tasks import metrics
from tasks.config import worker_cache
from tasks.giving_way import give_way
from tasks.health import BrokerProbe, HealthReporter, WorkerReport
from tasks.memory import MemoryBound, memory_mb
from tasks.queues import gpu_queues
from tasks.starts import Starts
from tasks.uploads import UploadReader
from worker.errors import FaceQueueError, NotOpen
from worker.vector_search.config import MonitoringConfig

if TYPE_CHECKING:
    from worker.face_index import FaceIndex
    from worker.vector_search.interfaces import VectorStore
    from worker.vector_search.monitoring import MetricsCollector

logger = logging.getLogger(__name__)

#: A starting worker waits for Milvus as it waits for Redis: for ever, asking this often, in seconds.
OPEN_RETRY_SECONDS: Final = 1.0
#: The problem of a worker that has not opened everything yet.
STARTING: Final = "This worker is starting."


class WorkerState:
    """What this process holds. One per process, filled by the signals below."""

    def __init__(self) -> None:
        self._face_index: FaceIndex | None = None
        self._uploads: UploadReader | None = None
        self._starts: Starts | None = None
        self._reporter: HealthReporter | None = None
        self._metrics: MetricsCollector | None = None
        self._endpoint: metrics.MetricsEndpoint | None = None
        self._memory_bound: MemoryBound | None = None
        self._broker: BrokerProbe | None = None
        #: Why it cannot work yet; empty once everything is open.
        self._not_open = STARTING
        self._process = psutil.Process()
        self.concurrency = 0
        self.name = ""
        self.queues: tuple[str, ...] = ()

    @property
    def face_index(self) -> "FaceIndex":
        if self._face_index is None:
            raise NotOpen("This worker holds no FaceIndex: it consumes no search or index queue.")
        return self._face_index

    @property
    def uploads(self) -> UploadReader:
        if self._uploads is None:
            raise NotOpen("This worker reads no query images: it consumes no search queue.")
        return self._uploads

    @property
    def starts(self) -> Starts:
        if self._starts is None:
            raise NotOpen("This worker counts no starts: it consumes no index queue.")
        return self._starts

    def open(self, name: str, queues: tuple[str, ...]) -> None:
        self.name, self.queues = name, queues
        cache = worker_cache()
        self._broker = BrokerProbe(settings.REDIS_URL)
        monitoring = MonitoringConfig.from_settings(settings.MONITORING_CONFIG)
        self._reporter = HealthReporter(
            cache, name, self.describe, interval_seconds=monitoring.health_check_interval_seconds
        )
        self._reporter.open()  # first: who waits for Milvus says so
        if set(queues) & set(gpu_queues(settings.PACK_NAME)):
            self._metrics = _metrics(monitoring)
            self._face_index = open_face_index(self._metrics, role=self.role, waits=self._say_why)
            self._uploads = UploadReader(cache)
            self._starts = Starts(cache)
        if monitoring.enable_metrics:
            self._endpoint = metrics.MetricsEndpoint(
                settings.METRICS_HOST, settings.METRICS_PORT, *([self._metrics.registry] if self._metrics else [])
            )
        if settings.WORKER_MAX_MEMORY_MB:
            self._memory_bound = MemoryBound(settings.WORKER_MAX_MEMORY_MB)
            self._memory_bound.open()
        self._not_open = ""

    def _say_why(self, problem: str) -> None:
        if problem != self._not_open:
            logger.warning("%s", problem)
        self._not_open = problem

    def close(self) -> None:
        if self._memory_bound is not None:
            self._memory_bound.close()
            self._memory_bound = None
        if self._reporter is not None:
            self._reporter.close()
            self._reporter = None
        if self._face_index is not None:
            self._face_index.close()
            self._face_index = None
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None

    @property
    def role(self) -> str:
        """What this worker is for, by the queues it consumes."""
        return "+".join(sorted(queue.partition(".")[0] for queue in self.queues))

    def describe(self) -> WorkerReport:
        """Say what this worker is and how it is."""
        problem = self._not_open or (self._broker.problem() if self._broker else "")
        if self._not_open or self._face_index is None or self._metrics is None:
            return WorkerReport(is_healthy=not problem, problem=problem, **self._describe_process())
        # Imported here for the same reason as in open_face_index().
        from worker.vector_search.recall import recall_problem

        self._metrics.log_summary_when_due()
        pack, health = self._face_index.pack, self._face_index.store_health()
        match_recall = self._face_index.match_recall
        return WorkerReport(
            **self._describe_process(),
            is_healthy=health.is_healthy and self._face_index.models_are_healthy and not problem,
            problem=problem or _model_problem(self._face_index) or health.detail or recall_problem(match_recall),
            pack=pack.name,
            fingerprint=pack.fingerprint,
            dimension=pack.dimension,
            providers=pack.providers,
            warning=pack.warning,
            connection_status=health.connection_status,
            collection=settings.COLLECTION_CONFIG["NAME"],
            collection_status=health.collection_status,
            store_latency_ms=health.latency_ms,
            match_recall=match_recall,
            breaker=health.breaker,
            metrics=self._metrics.summary(),
        )

    def _describe_process(self) -> dict[str, Any]:
        """Return the part of the report that every kind of worker has."""
        return {
            "name": self.name,
            "pid": os.getpid(),
            "queues": self.queues,
            "role": self.role,
            "versions": _versions(with_engine=self._face_index is not None),
            "started_at": self._process.create_time(),
            "reported_at": time.time(),
            "concurrency": self.concurrency,
            "active_tasks": len(celery_state.active_requests),
            "reserved_tasks": len(celery_state.reserved_requests),
            "memory_mb": memory_mb(self._process),
            "metrics_address": self._endpoint.address if self._endpoint else "",
        }


state = WorkerState()


def _model_problem(index: "FaceIndex") -> str:
    return "" if index.models_are_healthy else "A thread that runs a model has died: restart this worker."


def _versions(*, with_engine: bool) -> dict[str, str]:
    found = {"facequeue": settings.VERSION, "celery": celery.__version__}
    return found | {"onnxruntime": _onnxruntime_version()} if with_engine else found


def _onnxruntime_version() -> str:
    """Return it by whichever name it was installed: the builds for other providers have names of their own."""
    for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-silicon"):
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return "unknown"


def _metrics(monitoring: MonitoringConfig) -> "MetricsCollector":
    from worker.vector_search.monitoring import MetricsCollector

    return MetricsCollector(monitoring)


def open_face_index(
    collector: "MetricsCollector", *, role: str, waits: Callable[[str], None] = logger.warning
) -> "FaceIndex":
    """Open the FaceIndex that the settings describe; until Milvus can be reached, `waits` is told why it cannot.

    Blocks for seconds, and without Milvus until it is there. Raises ConfigError and PackError.
    """
    # Imported here and not above: beat and Flower import every task module, and must not load a model library.
    from worker.config import FaceConfig
    from worker.face_index import FaceIndex
    from worker.recognition.engine import FaceEngine
    from worker.vector_search.cache import CachedVectorStore, CacheManager
    from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
    from worker.vector_search.core import VectorSearchService
    from worker.vector_search.monitoring import MonitoredVectorStore
    from worker.vector_search.recall import RecallWatch

    config = FaceConfig.from_settings(settings.FACE_CONFIG)
    engine = FaceEngine(config)
    engine.open()
    collection = CollectionConfig.from_settings(settings.COLLECTION_CONFIG)
    performance = PerformanceConfig.from_settings(settings.PERFORMANCE_CONFIG)
    store: VectorStore = VectorSearchService(
        milvus=MilvusConfig.from_settings(settings.MILVUS_CONFIG),
        collection=collection,
        performance=performance,
        dimension=engine.pack.dimension,
        fingerprint=engine.pack.fingerprint,
    )
    recall = RecallWatch(store)
    cache = None
    if performance.enable_caching:
        cache = CacheManager(
            settings.REDIS_CACHE_URL,
            collection=collection.name,
            fingerprint=engine.pack.fingerprint,
            ttl_seconds=performance.cache_ttl_seconds,
            max_entries=performance.cache_max_size,
            recorder=collector,
        )
        store = CachedVectorStore(store, cache)
    store = MonitoredVectorStore(store, collector)  # outermost: it measures what a caller sees, the cache included
    _open_when_reachable(store, waits)
    recall.open()
    stages = metrics.StageRecorder(role)
    return FaceIndex(engine, store, limits=config.image_limits, cache=cache, recall=recall, stages=stages)


def _open_when_reachable(store: "VectorStore", waits: Callable[[str], None]) -> None:
    while True:
        try:
            store.open()
            return
        except FaceQueueError as error:
            if not error.retryable:
                raise
            waits(f"This worker waits for Milvus: {error}")
            time.sleep(OPEN_RETRY_SECONDS)


@celeryd_init.connect
def use_worker_settings(conf: Any, **_: Any) -> None:
    """Lay the workers' own settings over the web's, however this worker was started."""
    conf.update(settings.CELERY_WORKER_ROLE)


@worker_init.connect
def open_worker(sender: Any, **_: Any) -> None:
    """Open what this worker's queues need; a worker that cannot work must not take messages."""
    metrics.prepare_multiprocess_folder()
    state.concurrency = sender.concurrency
    queues = tuple(sender.app.amqp.queues.consume_from)
    give_way(queues)
    try:
        state.open(sender.hostname, queues)
    except FaceQueueError as error:
        state.close()
        # Celery logs and ignores an exception in a signal handler; only leaving stops the start.
        sys.exit(f"{sender.hostname} cannot start ({error.code}): {error}")


@worker_shutdown.connect
def close_worker(**_: Any) -> None:
    state.close()

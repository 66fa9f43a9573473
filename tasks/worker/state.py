"""What a worker process holds open, and the report that describes it."""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import celery
import psutil
import redis
from celery.worker import state as celery_state
from django.conf import settings

from tasks import clock, targets
from tasks.config import worker_cache
from tasks.dictionaries import face_config, monitoring_config, pack_name
from tasks.health import metrics
from tasks.health.latency import recent_searches
from tasks.health.reports import WorkerReport
from tasks.messages.base import Target
from tasks.queues import gpu_queues
from tasks.roles import INDEX, REINDEX, role_of
from tasks.targets import default_target
from tasks.web.withdrawn import Withdrawn
from tasks.worker import metrics_endpoint
from tasks.worker.memory import MemoryBound, growth_mb, memory_mb
from tasks.worker.niceness import Pauses, UrgentWork
from tasks.worker.query_images import QueryImageReader
from tasks.worker.reporter import REPORT_INTERVAL_SECONDS, BrokerProbe, HealthReporter
from tasks.worker.starts import MOST_DEATHS, Starts
from tasks.worker.store_health import StoreHealthCheck
from worker.errors import FaceQueueError, NotOpen
from worker.gates import Gate
from worker.vector_search.config import MonitoringConfig

if TYPE_CHECKING:
    from tasks.worker.open_indexes import OpenIndexes
    from worker.face_index import FaceIndex
    from worker.vector_search.monitoring import MetricsCollector
logger = logging.getLogger(__name__)

#: A starting worker waits for Milvus as it waits for Redis: for ever, asking this often, in seconds.
OPEN_RETRY_SECONDS: Final = 1.0
#: More index tasks than a process ever runs; one that must be alone takes the places of all.
COMPANY: Final = 1000
#: A random name that Linux gives itself at each start (random(4)).
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
#: The problem of a worker that has not opened everything yet.
STARTING: Final = "This worker is starting."


class WorkerState:
    """What this process holds. One per process, filled by the signals below."""

    def __init__(self, *, report_interval_seconds: float = REPORT_INTERVAL_SECONDS) -> None:
        self._report_interval_seconds = report_interval_seconds
        self._indexes: OpenIndexes | None = None
        #: What this worker mainly serves; its report describes this collection.
        self.target = default_target()
        self._query_images: QueryImageReader | None = None
        self._starts: Starts | None = None
        self._withdrawn: Withdrawn | None = None
        self._urgent_work: UrgentWork | None = None
        #: Of the index tasks that have photos open.
        self.company = Gate(COMPANY)
        self._reporter: HealthReporter | None = None
        self._store_health: StoreHealthCheck | None = None
        self._metrics: MetricsCollector | None = None
        self._endpoint: metrics_endpoint.MetricsEndpoint | None = None
        self._memory_limit_mb = 0.0
        self._memory_bound: MemoryBound | None = None
        self._broker: BrokerProbe | None = None
        #: Why it cannot work yet; empty once everything is open.
        self._not_open = STARTING
        self._process = psutil.Process()
        self._started = time.monotonic()
        self.concurrency = 0
        self.name = ""
        self.queues: tuple[str, ...] = ()

    @property
    def indexes(self) -> "OpenIndexes":
        if self._indexes is None:
            raise NotOpen("This worker holds no FaceIndex: it consumes no search or index queue.")
        return self._indexes

    @property
    def query_images(self) -> QueryImageReader:
        if self._query_images is None:
            raise NotOpen("This worker reads no query images: it consumes no search queue.")
        return self._query_images

    @property
    def starts(self) -> Starts:
        if self._starts is None:
            raise NotOpen("This worker counts no starts: it consumes no index queue.")
        return self._starts

    @property
    def withdrawn(self) -> Withdrawn:
        if self._withdrawn is None:
            raise NotOpen("This worker knows no withdrawn photos: it consumes no index queue.")
        return self._withdrawn

    def pauses(self) -> Pauses:
        """Return the pauses of one index task."""
        if self._urgent_work is None:
            raise NotOpen("This worker gives way to none: it consumes no index queue.")
        return Pauses(self._urgent_work.waits)

    def open(self, name: str, queues: tuple[str, ...]) -> None:
        self.name, self.queues = name, queues
        cache = worker_cache()
        self._broker = BrokerProbe(settings.REDIS_URL)
        monitoring = monitoring_config()
        self._store_health = StoreHealthCheck(monitoring.health_check_interval_seconds)
        self._reporter = HealthReporter(cache, name, self.describe, interval_seconds=self._report_interval_seconds)
        self._reporter.open()  # first, so that a worker that waits for Milvus says so
        if set(queues) & set(gpu_queues(pack_name())):
            self._metrics = _metrics(monitoring)
            indexes = open_indexes(self._metrics, role=self.role)
            self.target = _first_target()
            _open_when_reachable(indexes, self.target, self._say_why)
            self._indexes = indexes
            self._query_images = QueryImageReader(cache)
            self._starts = Starts(cache, most_deaths=min(MOST_DEATHS, settings.INDEX_MAX_ATTEMPTS))
            self._withdrawn = Withdrawn(cache)
            broker = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=1.0)
            self._urgent_work = UrgentWork(broker, queues, machine=this_machine())
        if monitoring.enable_metrics:
            self._endpoint = metrics_endpoint.MetricsEndpoint(
                settings.METRICS_HOST, settings.METRICS_PORT, *([self._metrics.registry] if self._metrics else [])
            )
        self._memory_limit_mb = self._limit_memory()
        if self._memory_limit_mb:
            self._memory_bound = MemoryBound(self._memory_limit_mb)
            self._memory_bound.open()
        self._not_open = ""

    def _limit_memory(self) -> float:
        """Return the limit in MB, 0 for none. Call when everything is open."""
        if settings.WORKER_MAX_MEMORY_MB is not None or self._indexes is None:
            return float(settings.WORKER_MAX_MEMORY_MB or 0)
        config = face_config()
        reads_photos = any(role_of(queue) in (INDEX, REINDEX) for queue in self.queues)
        threads = self.concurrency * (config.decode_threads if reads_photos else 1)
        return round(memory_mb(self._process) + growth_mb(config, threads=threads))

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
        if self._indexes is not None:
            self._indexes.close()
            self._indexes = None
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None

    @property
    def role(self) -> str:
        """What this worker is for, by the queues it consumes."""
        return "+".join(sorted(queue.partition(".")[0] for queue in self.queues))

    def describe(self) -> WorkerReport:
        """Describe this worker and its health."""
        problem = self._not_open or (self._broker.problem() if self._broker else "")
        if self._not_open or self._indexes is None or self._metrics is None or self._store_health is None:
            return WorkerReport(is_healthy=not problem, problem=problem, **self._describe_process())
        self._metrics.log_summary_when_due()
        index = self._followed(self._indexes)
        pack, health = self._indexes.pack, self._store_health.health(index)
        return WorkerReport(
            **self._describe_process(),
            is_healthy=health.is_healthy and self._indexes.models_are_healthy and not problem,
            problem=problem or _model_problem(self._indexes) or health.detail,
            pack=pack.name,
            fingerprint=pack.fingerprint,
            detector=pack.detector_fingerprint,
            dimension=pack.dimension,
            providers=pack.providers,
            warning=pack.warning,
            connection_status=health.connection_status,
            collection=self.target.collection,
            collection_status=health.collection_status,
            store_latency_ms=health.latency_ms,
            breaker=health.breaker,
            search_latency=recent_searches.summary(),
            metrics=self._metrics.summary(),
        )

    def _followed(self, indexes: "OpenIndexes") -> "FaceIndex":
        """Return the index of what is active now, if this worker can serve it; close collections no longer needed."""
        live = targets.published()
        wanted = live.for_pack(indexes.pack.name) or self.target
        try:
            index = indexes.index(wanted)
            self.target = wanted
        except FaceQueueError as error:
            logger.warning("The collection %s cannot be opened: %s", wanted.collection, error)
            index = indexes.index(self.target)
        indexes.close_unused({target.collection for target in live.all} | {self.target.collection})
        return index

    def _describe_process(self) -> dict[str, Any]:
        """Return the part of the report that every kind of worker has."""
        now = clock.now()
        return {
            "name": self.name,
            "pid": os.getpid(),
            "queues": self.queues,
            "role": self.role,
            "machine": this_machine(),
            "versions": _versions(with_engine=self._indexes is not None),
            "started_at": now - (time.monotonic() - self._started),
            "reported_at": now,
            "clock_offset_seconds": clock.clock.wall_offset_seconds,
            "concurrency": self.concurrency,
            "active_tasks": len(celery_state.active_requests),
            "reserved_tasks": len(celery_state.reserved_requests),
            "memory_mb": memory_mb(self._process),
            "memory_limit_mb": self._memory_limit_mb,
            "metrics_address": self._endpoint.address if self._endpoint else "",
        }


state = WorkerState()


def this_machine() -> str:
    """Return a name that all processes of this machine have in common, in containers too, and no other machine has."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        return socket.gethostname()


def _model_problem(indexes: "OpenIndexes") -> str:
    return "" if indexes.models_are_healthy else "A thread that runs a model has died: restart this worker."


def _versions(*, with_engine: bool) -> dict[str, str]:
    found = {"facequeue": settings.VERSION, "celery": celery.__version__}
    return found | {"onnxruntime": _onnxruntime_version()} if with_engine else found


def _onnxruntime_version() -> str:
    """Return the version of whichever distribution provides it: builds for other providers have other names."""
    for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-silicon"):
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return "unknown"


def _metrics(monitoring: MonitoringConfig) -> "MetricsCollector":
    from worker.vector_search.monitoring import MetricsCollector

    return MetricsCollector(monitoring)


def open_indexes(collector: "MetricsCollector", *, role: str) -> "OpenIndexes":
    """Load the pack that the settings name; blocks for seconds. Raises ConfigError, PackError."""
    # Imported here and not above: beat and Flower import every task module, and must not load a model library.
    from tasks.worker.open_indexes import OpenIndexes

    indexes = OpenIndexes(collector, stages=metrics.StageRecorder(role))
    indexes.open()
    return indexes


def _first_target() -> Target:
    """Return what a worker of this pack opens at its start."""
    return targets.published().for_pack(pack_name()) or default_target()


def _open_when_reachable(indexes: "OpenIndexes", target: Target, waits: Callable[[str], None]) -> None:
    """Open the collection; until Milvus can be reached, call `waits` with the reason.

    Errors that waiting does not help are raised at once.
    """
    while True:
        try:
            indexes.index(target)
            return
        except FaceQueueError as error:
            if not error.retryable:
                raise
            waits(f"This worker waits for Milvus: {error}")
            time.sleep(OPEN_RETRY_SECONDS)

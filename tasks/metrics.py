"""Every Prometheus metric of the queue: what a process measures of its own work, and what the web reads from outside.

A worker serves its own on a small HTTP endpoint, whose address stands in its report. The web's `/metrics` adds the
queues, the canaries and the workers' reports. Those of cache and vector store are made in
`worker/vector_search/monitoring.py`; a GPU worker serves both. No label holds anything that a user wrote, and none an
id but that of a gallery in its match recall.
"""

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import psutil
from celery.signals import task_postrun, task_prerun, task_revoked
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from tasks.canary import CanaryReport
from tasks.context import SENT_AT
from tasks.health import WorkerReport
from tasks.inspection import QueueStatus
from tasks.live_recall import GalleryRecall
from worker.errors import ConfigError, FaceQueueError
from worker.metrics import Stage

#: Buckets in seconds: from a message that was taken at once to one that waited for a restarted worker.
BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600)
REGISTRY: Final = CollectorRegistry()

QUEUE_WAIT = Histogram(
    "facequeue_queue_wait_seconds",
    "From publishing a message to the start of its task.",
    ["task"],
    buckets=BUCKETS_SECONDS,
    registry=REGISTRY,
)
TASK = Histogram(
    "facequeue_task_seconds",
    "From a task's start to its end.",
    ["task"],
    buckets=BUCKETS_SECONDS,
    registry=REGISTRY,
)
STAGE = Histogram(
    "facequeue_stage_seconds",
    "The stages of looking at a picture: decode, detect, embed, search.",
    ["role", "stage"],
    buckets=BUCKETS_SECONDS,
    registry=REGISTRY,
)
OUTCOMES = Counter(
    "facequeue_outcomes",
    "Tasks by what became of them: ok, expired, retried, or an error's code.",
    ["task", "code"],
    registry=REGISTRY,
)
PHOTOS = Counter(
    "facequeue_photos",
    "Photos by the outcome of indexing: indexed, or an error's code.",
    ["code"],
    registry=REGISTRY,
)
SEARCH = Histogram(
    "facequeue_search_seconds",
    "Searches as the web sees them, from sending to the answer, by outcome.",
    ["code"],
    buckets=BUCKETS_SECONDS,
    registry=REGISTRY,
)

#: What `observed` says: read from Redis as it is asked for, not counted by this process.
OBSERVED: Final = {
    "facequeue_queue_depth": "Messages that wait for a worker.",
    "facequeue_queue_oldest_seconds": "Age of the oldest message that waits.",
    "facequeue_canary_age_seconds": "Since a canary came back through this queue.",
    "facequeue_canary_seconds": "How long the latest canary took, from publishing to its end.",
    "facequeue_worker_report_age_seconds": "Since the worker described itself.",
    "facequeue_worker_healthy": "1 when the worker says that it is well.",
    "facequeue_worker_active_tasks": "Tasks that the worker runs now.",
    "facequeue_worker_memory_bytes": "Resident memory of the worker and its child processes.",
    "facequeue_worker_breaker_open": "1 while the worker's breaker keeps calls from Milvus.",
    "facequeue_match_recall": "Of the matches that exact search finds, the share that searches found in the last hour.",
}


class StageRecorder:
    """What the worker's `Stages` are told, in this role's histograms."""

    def __init__(self, role: str) -> None:
        self._role = role

    def record(self, stage: Stage, seconds: float) -> None:
        STAGE.labels(self._role, stage).observe(seconds)


def count_photos(codes: Iterable[str]) -> None:
    """Count indexed photos; the code of one without an error is empty."""
    for code in codes:
        PHOTOS.labels(code or "indexed").inc()


# -- tasks: measured by Celery's own signals, so that no task body has to -----------------------------------

#: When each running task began, time.perf_counter() by its id.
_began: dict[str, float] = {}


@task_prerun.connect
def note_start(task_id: str, task: Any, **_: Any) -> None:
    _began[task_id] = time.perf_counter()
    sent_at = getattr(task.request, SENT_AT, None)
    # A message with an ETA was meant to wait.
    if sent_at is not None and task.request.eta is None:
        QUEUE_WAIT.labels(task.name).observe(max(0.0, time.time() - sent_at))


@task_postrun.connect
def note_end(task_id: str, task: Any, retval: Any, state: str | None = None, **_: Any) -> None:
    began = _began.pop(task_id, None)
    if began is not None:
        TASK.labels(task.name).observe(time.perf_counter() - began)
    OUTCOMES.labels(task.name, outcome_code(state, retval)).inc()


@task_revoked.connect
def note_revoked(request: Any, expired: bool, **_: Any) -> None:
    OUTCOMES.labels(request.task, "expired" if expired else "revoked").inc()


def outcome_code(state: str | None, retval: Any) -> str:
    """Return what became of a task, from a closed list of codes."""
    if state == "SUCCESS":
        error = retval.get("error") if isinstance(retval, dict) else None
        return error["code"] if error else "ok"
    if state == "FAILURE":
        return retval.code if isinstance(retval, FaceQueueError) else "internal"
    return {"RETRY": "retried"}.get(state or "", "ignored")


# -- where they are shown --------------------------------------------------------------------------------------

#: Set for a prefork worker: its children write here what its endpoint adds up.
MULTIPROCESS_FOLDER: Final = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")


class MetricsEndpoint:
    """A worker process' own metrics over HTTP."""

    def __init__(self, host: str, port: int, *others: CollectorRegistry) -> None:
        """Shows what `others` hold, too. Port 0 takes a free one. Raises ConfigError."""
        registry = CollectorRegistry(auto_describe=False)
        # Of a collector only `collect()` is asked, and a registry has it.
        for part in others:
            registry.register(part)
        if MULTIPROCESS_FOLDER:
            MultiProcessCollector(registry, MULTIPROCESS_FOLDER)  # type: ignore[no-untyped-call]
        else:
            registry.register(REGISTRY)
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"METRICS_HOST and METRICS_PORT are {host!r} and {port}: {reason}.") from error
        self.address = f"{host}:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def prepare_multiprocess_folder() -> None:
    """Empty the folder of this worker before its children write there, and drop those of processes that are gone."""
    if not MULTIPROCESS_FOLDER:
        return
    own = Path(MULTIPROCESS_FOLDER)
    own.mkdir(parents=True, exist_ok=True)
    gone = [each for each in own.parent.iterdir() if each.name.isdigit() and not psutil.pid_exists(int(each.name))]
    for folder in {own, *gone}:
        shutil.rmtree(folder, ignore_errors=True)
    own.mkdir()


def own() -> bytes:
    """Return what this process measured itself, in Prometheus' text format."""
    return generate_latest(REGISTRY)


def observed(
    *,
    queues: list[QueueStatus],
    canaries: tuple[CanaryReport, ...],
    workers: tuple[WorkerReport, ...],
    recalls: tuple[GalleryRecall, ...] = (),
    now: float,
) -> bytes:
    """Return what is known of queues, canaries and workers, in Prometheus' text format. `now` is time.time().

    `recalls` is what live searches find, gallery by gallery.
    """
    registry = CollectorRegistry()
    gauges = {name: Gauge(name, text, _labels(name), registry=registry) for name, text in OBSERVED.items()}
    for queue in queues:
        gauges["facequeue_queue_depth"].labels(queue.name).set(queue.waiting)
        gauges["facequeue_queue_oldest_seconds"].labels(queue.name).set(queue.oldest_seconds or 0.0)
    for canary in canaries:
        gauges["facequeue_canary_age_seconds"].labels(canary.queue).set(max(0.0, now - canary.at))
        gauges["facequeue_canary_seconds"].labels(canary.queue).set(canary.seconds)
    for worker in workers:
        who = (worker.name, worker.role)
        gauges["facequeue_worker_report_age_seconds"].labels(*who).set(max(0.0, now - worker.reported_at))
        gauges["facequeue_worker_healthy"].labels(*who).set(worker.is_healthy)
        gauges["facequeue_worker_active_tasks"].labels(*who).set(worker.active_tasks)
        gauges["facequeue_worker_memory_bytes"].labels(*who).set(worker.memory_mb * 1024 * 1024)
        gauges["facequeue_worker_breaker_open"].labels(*who).set(worker.breaker == "open")
    for each in recalls:
        gauges["facequeue_match_recall"].labels(each.gallery_id).set(each.recall)
    return generate_latest(registry)


def _labels(name: str) -> list[str]:
    """Return what a metric of OBSERVED is told apart by."""
    if name == "facequeue_match_recall":
        return ["gallery"]
    return ["worker", "role"] if "_worker_" in name else ["queue"]

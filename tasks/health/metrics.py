"""The Prometheus metrics that a process keeps of its own work, counted by Celery's signals.

A worker serves them on a small HTTP endpoint, whose address is in its report (tasks/worker/metrics_endpoint.py). The
web's `/metrics` adds queues, canaries and reports (exposition.py). Metrics of cache and vector store are in
`worker/vector_search/monitoring.py`; a GPU worker serves both. No label holds user input, and the only id in a label is
a gallery's, in its match recall.
"""

import time
from collections.abc import Iterable
from typing import Any, Final

from celery.signals import task_postrun, task_prerun, task_revoked
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tasks import clock
from tasks.context import SENT_AT
from worker.errors import FaceQueueError
from worker.metrics import Stage

#: Buckets in seconds: from a message taken at once to one that waited for a restarted worker.
BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600)
REGISTRY: Final = CollectorRegistry()

QUEUE_WAIT = Histogram(
    "facequeue_queue_wait_seconds",
    "Time from publishing a message to the start of its task.",
    ["task"],
    buckets=BUCKETS_SECONDS,
    registry=REGISTRY,
)
TASK = Histogram(
    "facequeue_task_seconds",
    "Time from a task's start to its end.",
    ["task"],
    buckets=BUCKETS_SECONDS,
    registry=REGISTRY,
)
STAGE = Histogram(
    "facequeue_stage_seconds",
    "The stages of work on a picture: decode, detect, embed, search.",
    ["role", "stage"],
    buckets=BUCKETS_SECONDS,
    registry=REGISTRY,
)
OUTCOMES = Counter(
    "facequeue_outcomes",
    "Tasks by how they ended: ok, expired, retried, or an error's code.",
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

SEARCHES_IN_FLIGHT = Gauge(
    "facequeue_searches_in_flight",
    "Searches of this web process that were let in and are not yet answered.",
    ["queue"],
    registry=REGISTRY,
)
SEARCH_BOUND = Gauge(
    "facequeue_search_bound",
    "How many searches of all web processes may be in flight now.",
    ["queue"],
    registry=REGISTRY,
)


class StageRecorder:
    """Records the worker's `Stages` in this role's histograms."""

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
    # A message with an ETA is meant to wait.
    if sent_at is not None and task.request.eta is None:
        QUEUE_WAIT.labels(task.name).observe(max(0.0, clock.now() - sent_at))


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
    """Return how a task ended, as one of a closed list of codes."""
    if state == "SUCCESS":
        error = retval.get("error") if isinstance(retval, dict) else None
        return error["code"] if error else "ok"
    if state == "FAILURE":
        return retval.code if isinstance(retval, FaceQueueError) else "internal"
    return {"RETRY": "retried"}.get(state or "", "ignored")


# -- where they are shown --------------------------------------------------------------------------------------


def own() -> bytes:
    """Return this process' own metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)

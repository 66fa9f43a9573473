"""What `manage.py doctor` checks: one finding per dependency, each with what to do when it is wrong.

Milvus is judged by what the workers report of it: the web side never talks to Milvus itself.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from tasks import queues
from tasks.errors import QueueUnavailable
from tasks.health import canaries, inspection, live_recall
from tasks.health.checks import HealthReport
from tasks.messages.base import Target
from tasks.targets import default_target
from webapp.generations.selectors import active_generation
from webapp.operations.starting import health_report

START = "Start the services with `make up`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One dependency: how it is, and what to do when that is not well."""

    name: str
    is_ok: bool
    detail: str
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """Yield one finding after the other; each check is bounded by a few seconds."""
    yield _redis("redis", settings.REDIS_URL, "noeviction", "Redis would silently drop queued work")
    yield _redis("redis-cache", settings.REDIS_CACHE_URL, "volatile-ttl", "a full cache would refuse query images")
    report = health_report()
    yield _milvus(report)
    yield _collection(report)
    yield _pack(report)
    if report.recalls:
        yield _match_recall(report)
    yield _database()
    yield _storage()
    for queue in queues.needed_queues(_searched().pack):
        yield _queue(queue, report)
        if settings.CANARY_INTERVAL_SECONDS:
            yield _canary(queue, report)
    yield _beat()


def _searched() -> Target:
    """Return what is searched; without a database, what the settings name."""
    try:
        return active_generation().target
    except DatabaseError:
        return default_target()


def _address(url: str) -> str:
    """Host and port without the credentials that a URL may carry."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _redis(name: str, url: str, wanted_policy: str, why: str) -> Finding:
    try:
        status = inspection.redis_status(url)
    except QueueUnavailable:
        return Finding(name=name, is_ok=False, detail=f"{_address(url)} does not answer", remedy=f"{START}.")
    detail = f"{_address(url)}, version {status.version}, {status.eviction_policy}"
    if status.eviction_policy != wanted_policy:
        remedy = f"Set maxmemory-policy {wanted_policy}: with {status.eviction_policy} {why}."
        return Finding(name=name, is_ok=False, detail=detail, remedy=remedy)
    return Finding(name=name, is_ok=True, detail=detail)


def _milvus(report: HealthReport) -> Finding:
    connected = report.connection_status == "connected"
    detail = f"{_address(settings.MILVUS_URI)}, {report.connection_status}"
    if report.connection_status == "unknown":
        detail += " (no search worker reports on it)"
    return Finding(name="milvus", is_ok=connected, detail=detail, remedy="" if connected else f"{START}.")


def _collection(report: HealthReport) -> Finding:
    loaded = report.collection_status == "loaded"
    remedy = "" if loaded else "A search worker creates and loads the collection when it starts: start one."
    detail = f"{_searched().collection}, {report.collection_status}"
    return Finding(name="collection", is_ok=loaded, detail=detail, remedy=remedy)


def _pack(report: HealthReport) -> Finding:
    wanted = _searched().pack
    holders = [worker for worker in report.workers if worker.pack == wanted]
    if not holders:
        remedy = "Start a search worker; its log names what the pack lacks."
        return Finding(name="pack", is_ok=False, detail=f"{wanted}: no worker holds it", remedy=remedy)
    fingerprints = {worker.fingerprint for worker in holders}
    if len(fingerprints) > 1:
        remedy = "Workers hold different files under one name: install the same pack everywhere."
        return Finding(name="pack", is_ok=False, detail=f"{wanted}: {len(fingerprints)} fingerprints", remedy=remedy)
    worker = holders[0]
    detail = f"{wanted} {worker.fingerprint[:12]}, {worker.dimension} values, {', '.join(worker.providers)}"
    return Finding(name="pack", is_ok=True, detail=detail)


def _match_recall(report: HealthReport) -> Finding:
    name, lowest = "match recall", report.recalls[0].recall
    detail = f"{len(report.recalls)} galleries in the last hour, the lowest {lowest:.2%}"
    problem = live_recall.recall_problem(report.recalls, least=settings.RECALL_MIN)
    remedy = f"{problem} Search with larger parameters, or build another index." if problem else ""
    return Finding(name=name, is_ok=not problem, detail=detail, remedy=remedy)


def _database() -> Finding:
    engine = connection.vendor
    try:
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError as error:
        return Finding(name="database", is_ok=False, detail=f"{engine}: {error}", remedy="Check DATABASE_URL.")
    if missing:
        remedy = "Run `python manage.py migrate`."
        return Finding(name="database", is_ok=False, detail=f"{engine}, {missing} migrations missing", remedy=remedy)
    return Finding(name="database", is_ok=True, detail=engine)


def _storage() -> Finding:
    """Write a small file and take it away again: only that shows that photos can be kept."""
    kind = type(storages["default"]).__name__
    try:
        name = default_storage.save(f"doctor/{uuid.uuid4()}", ContentFile(b"facequeue"))
        default_storage.delete(name)
    except OSError as error:
        remedy = "Give the service the right to write there, or free some space."
        return Finding(name="storage", is_ok=False, detail=f"{kind}: {error.strerror or error}", remedy=remedy)
    return Finding(name="storage", is_ok=True, detail=kind)


def _queue(queue: str, report: HealthReport) -> Finding:
    workers = [worker for worker in report.workers if queue in worker.queues]
    healthy = [worker for worker in workers if worker.is_healthy]
    try:
        [status] = inspection.queue_statuses([queue])
        oldest = "" if status.oldest_seconds is None else f", the oldest for {status.oldest_seconds:.0f} s"
        waiting = f"{status.waiting} waiting{oldest}"
        stuck = inspection.stuck_problem(status, workers)
    except QueueUnavailable:
        waiting, stuck = "length unknown", ""
    detail = f"{len(healthy)} healthy of {len(workers)} workers, {waiting}"
    if healthy:
        return Finding(name=queue, is_ok=not stuck, detail=detail, remedy=stuck)
    problem = " ".join(worker.problem for worker in workers)
    return Finding(name=queue, is_ok=False, detail=detail, remedy=problem or f"{START}, or start a worker for it.")


def _canary(queue: str, report: HealthReport) -> Finding:
    name = f"canary {queue}"
    last = next((each for each in report.canaries if each.queue == queue), None)
    detail = "none yet" if last is None else f"{last.age_seconds:.0f} s ago, took {last.seconds:.2f} s"
    problem = canaries.canary_problem(
        queue, report.canaries, report.workers, interval_seconds=settings.CANARY_INTERVAL_SECONDS
    )
    if not problem:
        return Finding(name=name, is_ok=True, detail=detail)
    remedy = "Look at beat and at the queue's workers: they run, but what is sent does not come through."
    return Finding(name=name, is_ok=False, detail=detail, remedy=remedy)


def _beat() -> Finding:
    try:
        ticking = inspection.beat_answers()
    except QueueUnavailable:
        return Finding(name="beat", is_ok=False, detail="unknown, Redis does not answer", remedy=f"{START}.")
    if not ticking:
        remedy = "Start beat: without it, photos whose worker died wait for ever."
        return Finding(name="beat", is_ok=False, detail="does not answer", remedy=remedy)
    return Finding(name="beat", is_ok=True, detail="its clock ticks")

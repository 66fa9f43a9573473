"""Is the service well? One list of findings, from the quick ones that readiness needs to those that take seconds.

Milvus is judged by what the workers report: the web side never talks to it.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from tasks import clock, queues
from tasks.errors import QueueUnavailable
from tasks.health import inspection, metrics
from tasks.health.checks import START, HealthReport
from tasks.health.clocks import own_clock
from tasks.health.exposition import observed
from tasks.health.findings import Finding
from tasks.health.inspection import QueueStatus
from tasks.web.search_client import search_client
from tasks.work_queue import work_queue
from webapp.generations.searched.findings import generation_findings
from webapp.generations.selectors import live_targets
from webapp.operations.private_files import is_private
from worker.errors import FaceQueueError

#: The finding that says whether the database answers.
DATABASE: Final = "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known of the service. `report` is None when this process has no open client of the search queue."""

    report: HealthReport | None
    findings: tuple[Finding, ...]
    #: Every queue of every live pack; empty until they have been looked at, and when Redis does not answer.
    queues: tuple[QueueStatus, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether requests can be served."""
        return all(finding.ok for finding in self.findings if finding.is_critical)

    @property
    def is_database_ready(self) -> bool:
        return all(finding.ok for finding in self.findings if finding.name == DATABASE)

    @property
    def wrong(self) -> list[Finding]:
        """What is not ok, critical findings first."""
        return sorted((each for each in self.findings if not each.ok), key=lambda each: not each.is_critical)


async def readiness() -> Health:
    """Check what a page request and a search need. Never raises for a service that is down."""
    try:
        report = await search_client().health_check()
    except FaceQueueError:
        report = None
    return Health(report=report, findings=tuple(await sync_to_async(lambda: list(_needed(report)))()))


def observed_health(health: Health) -> Health:
    """Add what can be seen of Redis and the queues in milliseconds; for the status page and the metrics."""
    statuses = queue_statuses()
    findings = (*health.findings, *_observed(health.report, statuses))
    return Health(report=health.report, findings=findings, queues=statuses)


def thorough_findings(report: HealthReport) -> Iterator[Finding]:
    """Yield every finding as it comes, those that take seconds or write something last; for `doctor`."""
    yield from _needed(report)
    yield from _observed(report, queue_statuses())
    yield own_clock()
    yield _migrations()
    yield _storage()
    yield _data_directory()
    yield _beat()


def queue_statuses() -> tuple[QueueStatus, ...]:
    """Look at every queue of every live pack; none when Redis does not answer."""
    try:
        names = [queue for pack in live_targets().packs for queue in queues.gpu_queues(pack)]
        return tuple(work_queue().statuses([*names, queues.RECORDS]))
    except (QueueUnavailable, DatabaseError):
        return ()


def exposition(health: Health) -> bytes:
    """Return this process' metrics and what is observed of queues and workers, in Prometheus' text format."""
    report = health.report
    return metrics.own() + observed(
        queues=health.queues,
        canaries=report.canaries if report else (),
        workers=report.workers if report else (),
        recalls=report.recalls if report else (),
        clocks=report.clocks if report else (),
        findings=health.findings,
        now=clock.now(),
    )


# -- what requests need ---------------------------------------------------------------------------------------


def _needed(report: HealthReport | None) -> Iterator[Finding]:
    yield _database()
    if report is None:
        detail = "this process has no open client of the search queue"
        yield Finding(name="search client", ok=False, detail=detail, remedy="Restart the web.", is_critical=True)
    else:
        yield from report.findings


def _database() -> Finding:
    engine = connection.vendor
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        detail, remedy = f"{engine} does not answer: {error}", "Start the database, or check DATABASE_URL."
        return Finding(name=DATABASE, ok=False, detail=detail, remedy=remedy, is_critical=True)
    return Finding(name=DATABASE, ok=True, detail=engine, is_critical=True)


# -- what can be seen in milliseconds -------------------------------------------------------------------------


def _observed(report: HealthReport | None, statuses: Sequence[QueueStatus]) -> Iterator[Finding]:
    yield _redis("redis", settings.REDIS_URL, "noeviction", "Redis would silently evict queued work")
    if not report or all(each.name != "redis-cache" for each in report.findings):
        url = settings.REDIS_CACHE_URL
        yield _redis("redis-cache", url, "volatile-ttl", "a full cache would refuse query images")
    yield from _queues(report, statuses)
    yield from _active_generation()


def _redis(name: str, url: str, wanted_policy: str, why: str) -> Finding:
    address = _address(url)
    try:
        status = inspection.redis_status(url)
    except QueueUnavailable:
        return Finding(name=name, ok=False, detail=f"{address} does not answer", remedy=f"{START}.")
    detail = f"{address}, version {status.version}, {status.eviction_policy}"
    if status.eviction_policy != wanted_policy:
        remedy = f"Set maxmemory-policy {wanted_policy}: with {status.eviction_policy} {why}."
        return Finding(name=name, ok=False, detail=detail, remedy=remedy)
    return Finding(name=name, ok=True, detail=detail)


def _address(url: str) -> str:
    """Return host and port without the credentials that a URL may carry."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _queues(report: HealthReport | None, statuses: Sequence[QueueStatus]) -> Iterator[Finding]:
    workers = report.workers if report else ()
    for queue in statuses:
        oldest = "" if queue.oldest_seconds is None else f", the oldest for {queue.oldest_seconds:.0f} s"
        stuck = inspection.stuck_problem(queue, workers)
        detail = f"{queue.waiting} waiting{oldest}"
        yield Finding(name=f"queue {queue.name}", ok=not stuck, detail=detail, remedy=stuck, value=queue.waiting)


def _active_generation() -> Iterator[Finding]:
    try:
        yield from generation_findings()
    except DatabaseError:
        return  # the finding of the database says so


# -- what takes seconds, or writes ----------------------------------------------------------------------------


def _migrations() -> Finding:
    try:
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError:
        return Finding(name="migrations", ok=False, detail="unknown", remedy="Start the database.")
    remedy = "Run `python manage.py migrate`." if missing else ""
    return Finding(name="migrations", ok=not missing, detail=f"{missing} missing", remedy=remedy, value=missing)


def _storage() -> Finding:
    """Write a small file and delete it: nothing less shows that photos can be stored."""
    kind = type(storages["default"]).__name__
    try:
        name = default_storage.save(f"doctor/{uuid.uuid4()}", ContentFile(b"facequeue"))
        default_storage.delete(name)
    except OSError as error:
        remedy = "Give the service the right to write there, or free some space."
        return Finding(name="storage", ok=False, detail=f"{kind}: {error.strerror or error}", remedy=remedy)
    return Finding(name="storage", ok=True, detail=kind)


def _data_directory() -> Finding:
    is_closed = is_private(settings.DATA_DIR)
    remedy = "" if is_closed else f"Others can read photos and session keys: run `chmod 700 {settings.DATA_DIR}`."
    detail = "its owner's alone" if is_closed else "open to other users of this machine"
    return Finding(name="data directory", ok=is_closed, detail=detail, remedy=remedy)


def _beat() -> Finding:
    try:
        ticking = inspection.beat_answers()
    except QueueUnavailable:
        return Finding(name="beat", ok=False, detail="unknown, Redis does not answer", remedy=f"{START}.")
    if not ticking:
        remedy = "Start beat: without it, photos whose worker died wait for ever."
        return Finding(name="beat", ok=False, detail="does not answer", remedy=remedy)
    return Finding(name="beat", ok=True, detail="its clock ticks")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A queue with its canary, for the status page. Ages are in seconds; None: nothing waits, or no canary has come."""

    name: str
    waiting: int
    oldest_seconds: float | None
    canary_age_seconds: float | None
    canary_seconds: float | None


def queue_rows(health: Health) -> list[QueueRow]:
    """Return the observed queues."""
    canaries = {canary.queue: canary for canary in (health.report.canaries if health.report else ())}
    return [
        QueueRow(
            name=queue.name,
            waiting=queue.waiting,
            oldest_seconds=queue.oldest_seconds,
            canary_age_seconds=canaries[queue.name].age_seconds if queue.name in canaries else None,
            canary_seconds=canaries[queue.name].seconds if queue.name in canaries else None,
        )
        for queue in health.queues
    ]

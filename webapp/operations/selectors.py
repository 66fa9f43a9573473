"""Is the service well? Asked of the database, of the queues, and of what the workers say of themselves."""

import time
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection

from tasks import queues
from tasks.errors import QueueUnavailable
from tasks.health import inspection, metrics
from tasks.health.checks import HealthReport
from tasks.health.exposition import observed
from tasks.health.inspection import QueueStatus
from tasks.web.search_client import search_client
from tasks.work_queue import work_queue
from webapp.generations.selectors import live_targets
from worker.errors import FaceQueueError


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What a page request and a search need. `report` is None when this process has no open search service."""

    is_database_ready: bool
    report: HealthReport | None

    @property
    def is_ready(self) -> bool:
        return self.is_database_ready and self.report is not None and self.report.is_healthy

    @property
    def problems(self) -> list[str]:
        """One sentence each, for those who run the service."""
        found = [] if self.is_database_ready else ["The database does not answer."]
        if self.report is None:
            return [*found, "This web process has no open search service."]
        return [*found, *self.report.problems]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue with its canary. Ages are in seconds; None where nothing waits, or no canary has come through."""

    name: str
    waiting: int
    oldest_seconds: float | None
    canary_age_seconds: float | None
    canary_seconds: float | None
    #: A sentence when messages wait though workers are idle.
    problem: str


def queue_states(report: HealthReport | None) -> list[QueueState]:
    """Look at every queue; none when Redis does not answer."""
    canaries = {canary.queue: canary for canary in (report.canaries if report else ())}
    return [
        QueueState(
            name=queue.name,
            waiting=queue.waiting,
            oldest_seconds=queue.oldest_seconds,
            canary_age_seconds=canaries[queue.name].age_seconds if queue.name in canaries else None,
            canary_seconds=canaries[queue.name].seconds if queue.name in canaries else None,
            problem=inspection.stuck_problem(queue, report.workers if report else ()),
        )
        for queue in _queue_statuses()
    ]


def exposition(report: HealthReport | None) -> bytes:
    """Return this process' metrics and what is seen from here of the queues and workers, in Prometheus' format."""
    return metrics.own() + observed(
        queues=_queue_statuses(),
        canaries=report.canaries if report else (),
        workers=report.workers if report else (),
        recalls=report.recalls if report else (),
        now=time.time(),
    )


def _queue_statuses() -> list[QueueStatus]:
    try:
        gpu_queues = [queue for pack in live_targets().packs for queue in queues.gpu_queues(pack)]
        return work_queue().statuses([*gpu_queues, queues.RECORDS])
    except QueueUnavailable:
        return []


async def readiness() -> Readiness:
    """Ask. Never raises for a service that is down."""
    try:
        report = await search_client().health_check()
    except FaceQueueError:
        report = None
    return Readiness(is_database_ready=await sync_to_async(_is_database_ready)(), report=report)


def _is_database_ready() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True

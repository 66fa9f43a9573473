"""Is the service well? Asked of the database and of what the workers say of themselves."""

from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection

from tasks.client import HealthReport, face_search
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


async def readiness() -> Readiness:
    """Ask. Never raises for a service that is down."""
    try:
        report = await face_search().health_check()
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

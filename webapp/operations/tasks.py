"""What beat asks of the records worker for the service itself: its canary, deleting what has expired, and recounting.

Results, query images, reports and cached entries expire in Redis by themselves.
"""

from typing import Any

import redis
from celery import Task, shared_task
from django.core.management import call_command
from django.db import DatabaseError, connection

from tasks import names
from tasks.health.canaries import CanaryLog
from webapp.accounts.idempotency.answers import answers_purge
from webapp.gallery.quotas import usages_recount
from webapp.jobs.services import jobs_purge
from webapp.record_tasks import long_tick


@shared_task(name=names.RECORDS_CANARY, bind=True, ignore_result=True, throws=(DatabaseError, redis.RedisError))
def records_canary(self: "Task[Any, Any]", queue: str) -> None:
    """Arrive through the queue and read the database. See `tasks/health/canaries.py`."""
    log = CanaryLog.from_django()
    if not log.claim(queue):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM django_migrations")
        cursor.fetchone()
    log.passed(queue, self.request)


@shared_task(name=names.PURGE_SESSIONS, ignore_result=True)
def purge_sessions() -> None:
    """Delete the rows of sessions that have ended."""
    call_command("clearsessions")


@long_tick(names.PURGE_ANSWERS)
def purge_answers() -> None:
    """Delete the answers to requests that nobody may repeat any more."""
    answers_purge()


@long_tick(names.PURGE_JOBS)
def purge_jobs() -> None:
    """Delete the rows of jobs that ended long ago."""
    jobs_purge()


@long_tick(names.RECOUNT_USAGE)
def recount_usage() -> None:
    """Count again how many photos and bytes every user has."""
    usages_recount()

"""What beat asks of the records worker for the service itself: its canary, deleting accounts, purging, and recounting.

Results, query images, reports and cached entries expire in Redis by themselves.
"""

from typing import Any

import redis
from celery import Task, shared_task
from django.db import DatabaseError, connection

from tasks import names
from tasks.health.canaries import CanaryLog
from webapp.accounts.idempotency.answers import answers_purge
from webapp.accounts.own.sign_up import sign_up_invitations_purge
from webapp.accounts.sessions import SessionStore
from webapp.gallery.quotas import usages_recount
from webapp.jobs.services import jobs_purge
from webapp.operations.accounts import deletions_advance
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
    """Delete the rows of sessions that have ended, and of invitations that have expired."""
    SessionStore.clear_expired()
    sign_up_invitations_purge()


@long_tick(names.DELETE_ACCOUNTS)
def delete_accounts() -> None:
    """Take the next step of deleting accounts."""
    deletions_advance()


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

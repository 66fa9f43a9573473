"""The database tasks, run by the records worker. Thin: they parse a message and call a service.

A database or a queue that is away for a moment is waited for; what is lost all the same, the sweep finds.
"""

from typing import Any, Final
from uuid import UUID

from celery import shared_task
from django.db import OperationalError

from tasks import names
from tasks.errors import QueueUnavailable
from tasks.messages.indexing import IndexFailure, Outcomes, Removals
from tasks.retry import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, MAX_RETRIES
from webapp.gallery import services

RETRIED: Final[dict[str, Any]] = {
    "autoretry_for": (OperationalError, QueueUnavailable),
    "retry_backoff": FIRST_DELAY_SECONDS,
    "retry_backoff_max": LONGEST_DELAY_SECONDS,
    "max_retries": MAX_RETRIES,
    "ignore_result": True,
}


@shared_task(name=names.RECORD_OUTCOMES, **RETRIED)
def record_outcomes(message: dict[str, Any]) -> None:
    """Write down the outcomes of an index task."""
    recorded = Outcomes.from_json(message)
    services.outcomes_record(
        gallery_id=UUID(recorded.gallery_id), outcomes=recorded.outcomes, collection=recorded.collection
    )


@shared_task(name=names.RECORD_REMOVALS, **RETRIED)
def record_removals(message: dict[str, Any]) -> None:
    """Delete the rows and files of photos whose faces are gone."""
    services.removals_record(photo_ids=Removals.from_json(message).photo_ids)


@shared_task(name=names.RECORD_INDEX_FAILURE, **RETRIED)
def record_index_failure(message: dict[str, Any]) -> None:
    """Note why an index task has given up."""
    failure = IndexFailure.from_json(message)
    services.index_failure_record(photo_ids=failure.photo_ids, error=failure.error, collection=failure.collection)


# Not retried: beat sends the next one soon.
@shared_task(name=names.REQUEUE_STALE_PHOTOS, ignore_result=True)
def requeue_stale_photos() -> None:
    """Send again what was sent and never answered."""
    services.stale_photos_requeue()


@shared_task(name=names.FEED_INDEX_QUEUE, ignore_result=True)
def feed_index_queue() -> None:
    """Send photos that wait for room in the index queue."""
    services.index_queue_feed()

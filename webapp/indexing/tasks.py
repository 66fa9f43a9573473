"""The database tasks, run by the records worker. Thin: they parse a message and call a service.

They are retried while the database or the queue is briefly unavailable; the sweep recovers what is lost even so.
"""

from typing import Any
from uuid import UUID

from celery import shared_task

from tasks import names
from tasks.messages.consistency import Checked
from tasks.messages.generations import Copied
from tasks.messages.indexing import IndexFailure, Outcomes, Removals
from tasks.messages.renditions import Rendered
from webapp.indexing import consistency, deleting, feeding, filling, recording, sweeping
from webapp.indexing.renditions.feeding import renditions_feed
from webapp.indexing.renditions.recording import renditions_record
from webapp.record_tasks import RETRIED, long_tick


@shared_task(name=names.RECORD_OUTCOMES, **RETRIED)
def record_outcomes(message: dict[str, Any]) -> None:
    """Record the outcomes of an index task."""
    recorded = Outcomes.from_json(message)
    recording.outcomes_record(
        gallery_id=UUID(recorded.gallery_id), outcomes=recorded.outcomes, collection=recorded.collection
    )


@shared_task(name=names.RECORD_RENDITIONS, **RETRIED)
def record_renditions(message: dict[str, Any]) -> None:
    """Record what a rendering task has made."""
    renditions_record(photos=Rendered.from_json(message).photos)


@shared_task(name=names.RECORD_REMOVALS, **RETRIED)
def record_removals(message: dict[str, Any]) -> None:
    """Go on with photos whose vectors are removed: their rows and files are deleted, or they are indexed elsewhere."""
    removed = Removals.from_json(message)
    deleting.removals_record(gallery_id=UUID(removed.gallery_id), photo_ids=removed.photo_ids)


@shared_task(name=names.RECORD_INDEX_FAILURE, **RETRIED)
def record_index_failure(message: dict[str, Any]) -> None:
    """Note why an index task failed."""
    failure = IndexFailure.from_json(message)
    recording.index_failure_record(photo_ids=failure.photo_ids, error=failure.error, collection=failure.collection)


@long_tick(names.REQUEUE_STALE_PHOTOS)
def requeue_stale_photos() -> None:
    """Send again the photos that got no outcome in time."""
    sweeping.stale_photos_requeue()


# Not retried: beat soon sends the next one.
@shared_task(name=names.FEED_INDEX_QUEUE, ignore_result=True)
def feed_index_queue() -> None:
    """Send photos that are waiting for room in the index queue, first those to be indexed."""
    feeding.index_queue_feed()
    renditions_feed()


@long_tick(names.ADVANCE_GENERATIONS)
def advance_generations() -> None:
    """Fill and measure generations."""
    filling.generations_advance()


@shared_task(name=names.RECORD_COPY, **RETRIED)
def record_copy(message: dict[str, Any]) -> None:
    """Record that a range of photos was copied."""
    filling.copy_record(copied=Copied.from_json(message))


@shared_task(name=names.RECORD_CHECK, **RETRIED)
def record_check(message: dict[str, Any]) -> None:
    """Record how a range of photos differs, and check the next range."""
    consistency.check_record(checked=Checked.from_json(message))

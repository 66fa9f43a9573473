"""The sweep: what was sent and never answered is sent again, and nothing stays unfinished for ever."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, TextField, Value
from django.db.models.functions import Concat
from django.utils import timezone

from webapp.gallery.models import Photo, Tombstone
from webapp.indexing import dispatch
from webapp.indexing.feeding import index_queue_feed
from webapp.jobs.services import jobs_finish

logger = logging.getLogger(__name__)

#: How many removals one sweep sends; the next sweep waits until the workers have taken them.
SWEEP_SIZE = 2000

State = Photo.State


def stale_photos_requeue() -> None:
    """Send again what was sent and never answered; give up on a photo that was sent too often.

    What still waits in the index queue is not stale: the workers are merely busy.
    Raises QueueUnavailable when the queue cannot be read.
    """
    jobs_finish()
    sent_before = dispatch.left_index_queue(settings.INDEX_LEASE_SECONDS)
    _stale_again(sent_before)
    _tombstones_clear(sent_before)
    index_queue_feed()


def _stale_again(sent_before: datetime) -> None:
    now = timezone.now()
    stale = Photo.objects.filter(enqueued_at__lt=sent_before)
    given_up = _give_up(stale.filter(state=State.PENDING, attempts__gte=settings.INDEX_MAX_ATTEMPTS), now)
    pending = stale.filter(state=State.PENDING).update(enqueued_at=None)
    with transaction.atomic(durable=True):
        deleting = list(stale.select_for_update().filter(state=State.DELETING)[:SWEEP_SIZE])
        Photo.objects.filter(id__in=[photo.id for photo in deleting]).update(enqueued_at=now)
    _remove((photo.gallery_id, photo.id) for photo in deleting)
    if given_up or pending or deleting:
        logger.info(
            "Stale photos: %d to be sent again, %d removals sent again, %d given up.", pending, len(deleting), given_up
        )


def _give_up(photos: QuerySet[Photo], now: datetime) -> int:
    """Fail the photos, with the cause of the last attempt as far as a worker could tell it."""
    sentence = f"No worker finished this photo in {settings.INDEX_MAX_ATTEMPTS} attempts"
    parts = (Value(f"{sentence}; the last one: "), F("message"), Value(" ("), F("code"), Value(")"))
    given_up: dict[str, Any] = {"state": State.FAILED, "code": "gave_up", "settled_at": now}
    explained = photos.exclude(code="").update(message=Concat(*parts, output_field=TextField()), **given_up)
    return explained + photos.filter(code="").update(message=f"{sentence}.", **given_up)


def _tombstones_clear(sent_before: datetime) -> None:
    """Remove the faces of each tombstone once more when no message about its photo can come back.

    That is so when a worker that died with one has been silent for the visibility timeout. A removal that is never
    recorded is sent again, like a stale photo.
    """
    now = timezone.now()
    silent_since = now - timedelta(seconds=settings.VISIBILITY_TIMEOUT_SECONDS)
    due = Q(removal_sent_at=None, deleted_at__lt=silent_since) | Q(removal_sent_at__lt=sent_before)
    tombstones = list(Tombstone.objects.filter(due)[:SWEEP_SIZE])
    Tombstone.objects.filter(photo_id__in=[each.photo_id for each in tombstones]).update(removal_sent_at=now)
    _remove((each.gallery_id, each.photo_id) for each in tombstones)


def _remove(photos: Iterable[tuple[UUID, UUID]]) -> None:
    """Ask for the removal of photos, given as (gallery id, photo id)."""
    by_gallery: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for gallery_id, photo_id in photos:
        by_gallery[gallery_id].append(photo_id)
    for gallery_id, photo_ids in by_gallery.items():
        dispatch.send_for_removal(gallery_id=gallery_id, photo_ids=photo_ids)

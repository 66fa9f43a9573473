"""The sweep: sends again whatever got no answer, so that no photo stays unfinished for ever."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from tasks import clock
from webapp.gallery.models import Photo, Tombstone
from webapp.indexing import dispatch
from webapp.indexing.feeding import index_queue_feed
from webapp.jobs.services import jobs_finish

logger = logging.getLogger(__name__)

#: The most removals that one sweep sends; the next sweep waits until the workers have taken them.
SWEEP_SIZE = 2000


def stale_photos_requeue() -> None:
    """Send again the photos that got no outcome in time; give up on those that were sent too often.

    A photo whose message is still in the index queue is not stale: the workers are merely busy.
    Raises QueueUnavailable when the queue cannot be read.
    """
    jobs_finish()
    sent_before = dispatch.left_index_queue(settings.INDEX_LEASE_SECONDS)
    pending, given_up = Photo.objects.send_again_if_stale(sent_before=sent_before)
    deleting = _removals_send_again(sent_before)
    if given_up or pending or deleting:
        logger.info(
            "Stale photos: %d wait to be sent again, %d given up; %d removals sent again.", pending, given_up, deleting
        )
    _tombstones_clear(sent_before)
    index_queue_feed()


def _removals_send_again(sent_before: datetime) -> int:
    """Send again the removals that nobody has confirmed in time; return how many."""
    stale = Photo.objects.filter(state=Photo.State.DELETING, enqueued_at__lt=sent_before)
    with transaction.atomic(durable=True):
        deleting = list(stale.select_for_update()[:SWEEP_SIZE])
        Photo.objects.filter(id__in=[photo.id for photo in deleting]).update(enqueued_at=clock.utcnow())
    _remove((photo.gallery_id, photo.id) for photo in deleting)
    return len(deleting)


def _tombstones_clear(sent_before: datetime) -> None:
    """Remove the vectors of each tombstone once more when no message about its photo can come back.

    None can after the visibility timeout: by then the queue has delivered again what a dead worker held. A removal that
    is never confirmed is sent again, as for a stale photo.
    """
    now = clock.utcnow()
    silent_since = now - timedelta(seconds=settings.VISIBILITY_TIMEOUT_SECONDS)
    due = Q(removal_sent_at=None, deleted_at__lt=silent_since) | Q(removal_sent_at__lt=sent_before)
    tombstones = list(Tombstone.objects.filter(due)[:SWEEP_SIZE])
    Tombstone.objects.filter(photo_id__in=[each.photo_id for each in tombstones]).update(removal_sent_at=now)
    _remove((each.gallery_id, each.photo_id) for each in tombstones)


def _remove(photos: Iterable[tuple[UUID, UUID]]) -> None:
    """Request the removal of photos' vectors; the photos are given as (gallery id, photo id)."""
    by_gallery: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for gallery_id, photo_id in photos:
        by_gallery[gallery_id].append(photo_id)
    for gallery_id, photo_ids in by_gallery.items():
        dispatch.send_for_removal(gallery_id=gallery_id, photo_ids=photo_ids)

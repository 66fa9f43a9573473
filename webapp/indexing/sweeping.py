"""The sweep: sends again whatever got no answer, so that no photo stays unfinished for ever."""

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from tasks import clock
from tasks.errors import QueueUnavailable
from tasks.queues import Priority
from webapp.gallery.models import Photo, Rendering, Tombstone
from webapp.indexing import deleting, dispatch
from webapp.indexing.feeding import index_queue_feed
from webapp.indexing.renditions.feeding import renditions_feed
from webapp.jobs.services import jobs_finish

logger = logging.getLogger(__name__)

#: The most tombstones whose vectors one sweep has removed, and the most galleries that these are of: a few messages,
#: because they take room in the index queue from photos.
SWEEP_SIZE = 400
SWEEP_GALLERIES = 4


def stale_photos_requeue() -> None:
    """Send again the photos that got no outcome in time; give up on those that were sent too often.

    A photo whose message is still in the index queue is not stale: the workers are merely busy.
    Raises QueueUnavailable when the queue cannot be read.
    """
    jobs_finish()
    sent_before = dispatch.left_index_queue(settings.INDEX_LEASE_SECONDS)
    pending, given_up = Photo.objects.send_again_if_stale(sent_before=sent_before)
    again, lost = Rendering.objects.send_again_if_stale(sent_before=sent_before)
    if again or lost:
        logger.info("Stale renditions: %d photos wait to be sent again, %d given up.", again, lost)
    removals = _removals_send_again(sent_before)
    if given_up or pending or removals:
        logger.info(
            "Stale photos: %d wait to be sent again, %d given up; %d removals sent again.", pending, given_up, removals
        )
    _tombstones_clear(sent_before)
    index_queue_feed()
    renditions_feed()


def _removals_send_again(sent_before: datetime) -> int:
    """Request again the removals that nobody has confirmed in time; return of how many photos."""
    marked = Photo.objects.filter(state__in=(Photo.State.DELETING, Photo.State.MOVING))
    again = marked.filter(enqueued_at__lt=sent_before).update(enqueued_at=None)
    deleting.removals_feed()
    return again


def _tombstones_clear(sent_before: datetime) -> None:
    """Remove the vectors of each tombstone once more when no message about its photo can come back.

    None can after the visibility timeout: by then the queue has delivered again what a dead worker held. A removal that
    is never confirmed is sent again, as for a stale photo. Nobody waits for these removals, so uploads may overtake
    them, and there are few of them at a time.
    """
    now = clock.utcnow()
    silent_since = now - timedelta(seconds=settings.VISIBILITY_TIMEOUT_SECONDS)
    due = Q(removal_sent_at=None, deleted_at__lt=silent_since) | Q(removal_sent_at__lt=sent_before)
    by_gallery: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for tombstone in Tombstone.objects.filter(due)[:SWEEP_SIZE]:
        by_gallery[tombstone.gallery_id].append(tombstone.photo_id)
    for gallery_id, photo_ids in list(by_gallery.items())[:SWEEP_GALLERIES]:
        Tombstone.objects.filter(gallery_id=gallery_id, photo_id__in=photo_ids).update(removal_sent_at=now)
        try:
            dispatch.enqueue_removal(gallery_id=gallery_id, photo_ids=photo_ids, priority=Priority.NORMAL)
        except QueueUnavailable as error:
            logger.warning("Tombstones stay until the queue is back: %s", error)
            return

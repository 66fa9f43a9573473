"""Back-pressure: the index queue holds a bounded number of messages; photos that do not fit wait as rows.

A pending photo without `enqueued_at` is to be sent. Whoever adds photos feeds the queue at once, and beat does so every
few seconds, oldest photos first. So an import of any size never blocks and never fills Redis. Two that feed at the same
moment may both see the same room, so the bound is an approximate one.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from tasks.errors import QueueUnavailable
from webapp.gallery.models import Photo
from webapp.http import problems
from webapp.indexing import dispatch

logger = logging.getLogger(__name__)

#: How many photos one call sends at most, however much room there is.
FEED_SIZE = 2000
#: From this attempt on a photo travels alone: one that kills its worker must not take its neighbours with it.
ALONE_FROM_ATTEMPT = 3


def index_queue_feed() -> str:
    """Send photos that are to be sent until the index queue is full. Returns a warning when the queue is down.

    A crash between marking photos as sent and sending them costs them one lease: the sweep sends them again.
    """
    claimed: list[list[Photo]] = []
    try:
        room = settings.INDEX_QUEUE_BOUND - dispatch.index_queue_length()
        claimed = _claim(room) if room > 0 else []
        while claimed:
            dispatch.enqueue_index(claimed[0])
            del claimed[0]
    except QueueUnavailable as error:
        logger.warning("Photos stay pending until the queue is back: %s", error)
        _give_back([photo for chunk in claimed for photo in chunk])
        return problems.QUEUE_DOWN
    return ""


def _claim(room: int) -> list[list[Photo]]:
    """Mark the photos of the next `room` messages as sent, so that nobody else sends them; return them by message."""
    with transaction.atomic(durable=True):
        waiting = Photo.objects.filter(state=Photo.State.PENDING, enqueued_at=None).order_by("created", "id")
        most = min(room * settings.INDEX_CHUNK_SIZE, FEED_SIZE)
        photos = waiting.select_for_update(skip_locked=True)[:most]
        claimed = sorted(_chunked(photos), key=lambda chunk: chunk[0].created)[:room]
        ids = [photo.id for chunk in claimed for photo in chunk]
        Photo.objects.filter(id__in=ids).update(enqueued_at=timezone.now(), attempts=F("attempts") + 1)
    return claimed


def _give_back(photos: Iterable[Photo]) -> None:
    """Undo the claim: a queue that is down costs no attempt."""
    unsent = Photo.objects.filter(id__in=[photo.id for photo in photos], state=Photo.State.PENDING)
    unsent.update(enqueued_at=None, attempts=F("attempts") - 1)


def _chunked(photos: Iterable[Photo]) -> Iterator[list[Photo]]:
    """Cut the photos into messages: one gallery each, and alone those that have failed to come back before."""
    together: defaultdict[UUID, list[Photo]] = defaultdict(list)
    for photo in photos:
        if photo.attempts + 1 >= ALONE_FROM_ATTEMPT:
            yield [photo]
            continue
        chunk = together[photo.gallery_id]
        chunk.append(photo)
        if len(chunk) == settings.INDEX_CHUNK_SIZE:
            yield together.pop(photo.gallery_id)
    yield from together.values()

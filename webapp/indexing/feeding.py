"""Back-pressure: the index queue holds a bounded number of messages; photos that do not fit wait as database rows.

Adding photos feeds the queue immediately, and a beat task feeds it every few seconds, oldest photos first. An import of
any size therefore never blocks and never fills Redis. The bound is approximate: two processes that feed the queue at
the same moment may both see the same room.
"""

import logging

from django.conf import settings
from django.db import transaction

from tasks.errors import QueueUnavailable
from webapp.gallery.attempts import messages_of
from webapp.gallery.models import Photo
from webapp.http import problems
from webapp.indexing import dispatch

logger = logging.getLogger(__name__)

#: The most photos that one call sends, however much room there is.
FEED_SIZE = 2000


def index_queue_feed() -> str:
    """Send waiting photos until the index queue is full. Return a warning when the queue is down."""
    try:
        room = settings.INDEX_QUEUE_BOUND - dispatch.index_queue_length()
        if room > 0:
            dispatch.send_claimed(Photo.objects.all(), _claim(room), dispatch.enqueue_index)
    except QueueUnavailable as error:
        logger.warning("Photos stay pending until the queue is back: %s", error)
        return problems.QUEUE_DOWN
    return ""


def _claim(room: int) -> list[list[Photo]]:
    """Claim the photos of the next `room` messages; return them by message."""
    most = min(room * settings.INDEX_CHUNK_SIZE, FEED_SIZE)
    with transaction.atomic(durable=True):
        photos = Photo.objects.claimable().order_by("created", "id")[:most]
        messages = messages_of(photos, settings.INDEX_CHUNK_SIZE)
        claimed = sorted(messages, key=lambda message: message[0].created)[:room]
        Photo.objects.claim([photo for message in claimed for photo in message])
    return claimed

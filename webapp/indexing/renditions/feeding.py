"""Sending photos whose renditions are to be made. They give way: they are sent only while few photos wait to be
indexed, a few at a time, so an upload waits behind no more than a moment of them.
"""

import logging
from collections.abc import Sequence
from typing import Final

from django.conf import settings
from django.db import transaction

from tasks.errors import QueueUnavailable
from tasks.messages.renditions import RenderRequest
from tasks.queues import index_queue
from tasks.work_queue import work_queue
from webapp.gallery.attempts import messages_of
from webapp.gallery.models import Rendering
from webapp.generations.selectors import active_generation
from webapp.http.problems import QUEUE_DOWN
from webapp.indexing import dispatch

logger = logging.getLogger(__name__)

#: Renditions are sent while fewer messages than these wait in the index queue: the workers' next ones.
QUEUE_BOUND: Final = 4


def renditions_feed() -> str:
    """Send photos whose renditions are to be made as the index queue has room. Return a warning if it is down."""
    if not Rendering.objects.filter(state=Rendering.State.PENDING, enqueued_at=None).exists():
        return ""
    try:
        queue = dispatch.index_queue_status()
        room = QUEUE_BOUND - queue.waiting
        if room > 0:
            size = settings.INDEX_CHUNK_SIZE
            messages = list(messages_of(_claimed(room * size), size))
            dispatch.send_claimed(Rendering.objects.all(), messages, _send)
    except QueueUnavailable as error:
        logger.warning("Renditions are made once the queue is back: %s", error)
        return QUEUE_DOWN
    return ""


def _claimed(most: int) -> list[Rendering]:
    with transaction.atomic(durable=True):
        rows = list(Rendering.objects.claimable().order_by("id").select_related("photo")[:most])
        Rendering.objects.claim(rows)
    return rows


def _send(rows: Sequence[Rendering]) -> None:
    job_ids = {row.photo_id: row.job_id for row in rows}
    refs = dispatch.photo_refs([row.photo for row in rows])
    photos = tuple(
        ref.model_copy(update={"job_id": str(job_ids[row.photo_id])}) for ref, row in zip(refs, rows, strict=True)
    )
    request = RenderRequest(gallery_id=str(rows[0].gallery_id), photos=photos, alone=rows[0].is_suspect)
    work_queue().send(request, queue=index_queue(active_generation().pack))

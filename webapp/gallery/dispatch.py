"""From rows to queue messages. A queue that is down is a warning for the caller: the rows wait and are sent later."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from tasks import client, passage
from tasks.errors import QueueUnavailable
from tasks.messages import BoxInfo, KnownFace, PhotoRef
from webapp.gallery.models import Face, Photo

logger = logging.getLogger(__name__)

QUEUE_DOWN = "The queue does not answer; the work is saved and goes on by itself once the queue is back."
#: How many photos one removal message carries.
REMOVAL_CHUNK_SIZE = 100

Item = TypeVar("Item")


def enqueue_index(photos: Sequence[Photo]) -> None:
    """Send photos of one gallery to the index queue as one message. Raises QueueUnavailable."""
    client.enqueue_index(gallery_id=str(photos[0].gallery_id), photos=_photo_refs(photos))


def send_for_removal(*, gallery_id: UUID, photo_ids: Sequence[UUID]) -> str:
    """Ask for the removal of the photos' faces. Returns a warning when the queue is down."""
    try:
        enqueue_removal(gallery_id=gallery_id, photo_ids=photo_ids)
    except QueueUnavailable as error:
        logger.warning("Photos stay marked for deletion until the queue is back: %s", error)
        return QUEUE_DOWN
    return ""


def enqueue_removal(*, gallery_id: UUID, photo_ids: Sequence[UUID]) -> None:
    """Ask for the removal of the photos' faces. Raises QueueUnavailable."""
    for chunk in chunks(photo_ids, REMOVAL_CHUNK_SIZE):
        client.enqueue_removal(gallery_id=str(gallery_id), photo_ids=[str(photo_id) for photo_id in chunk])


def index_queue_length() -> int:
    """Return how many messages wait in the index queue. Raises QueueUnavailable."""
    return client.index_queue_length()


def left_index_queue(seconds: float) -> datetime:
    """Return a time: what was sent before it left the index queue `seconds` ago. Raises QueueUnavailable."""
    return datetime.fromtimestamp(passage.left_index_queue(seconds), tz=UTC)


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _photo_refs(photos: Sequence[Photo]) -> list[PhotoRef]:
    """Refer to the photos, with the faces they have already: a face found again keeps its id."""
    known: defaultdict[UUID, list[KnownFace]] = defaultdict(list)
    for face in Face.objects.filter(photo__in=photos):
        box = BoxInfo(left=face.left, top=face.top, right=face.right, bottom=face.bottom)
        known[face.photo_id].append(KnownFace(face_id=str(face.id), box=box))
    return [
        PhotoRef(photo_id=str(photo.id), storage_key=str(photo.file.name), known_faces=tuple(known[photo.id]))
        for photo in photos
    ]

"""From rows to queue messages. A queue that is down is a warning for the caller: the rows wait and are sent later."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar
from uuid import UUID

from django.conf import settings

from tasks import client
from tasks.errors import QueueUnavailable
from tasks.messages import BoxInfo, KnownFace, PhotoRef
from webapp.gallery.models import Face, Photo

logger = logging.getLogger(__name__)

QUEUE_DOWN = "The queue does not answer; the work is saved and goes on by itself once the queue is back."
#: How many photos one removal message carries.
REMOVAL_CHUNK_SIZE = 100

Item = TypeVar("Item")


def send_for_indexing(photos: Sequence[Photo], *, chunk_size: int | None = None) -> str:
    """Send photos to the index queue, in chunks of one gallery each. Returns a warning when the queue is down."""
    size = chunk_size or settings.INDEX_CHUNK_SIZE
    try:
        for gallery_id, group in groupby(sorted(photos, key=_gallery_key), key=_gallery_key):
            for chunk in chunks(group, size):
                client.enqueue_index(gallery_id=gallery_id, photos=_photo_refs(chunk))
    except QueueUnavailable as error:
        logger.warning("Photos stay pending until the queue is back: %s", error)
        return QUEUE_DOWN
    return ""


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


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _gallery_key(photo: Photo) -> str:
    return str(photo.gallery_id)


def _photo_refs(photos: list[Photo]) -> list[PhotoRef]:
    """Refer to the photos, with the faces they have already: a face found again keeps its id."""
    known: defaultdict[UUID, list[KnownFace]] = defaultdict(list)
    for face in Face.objects.filter(photo__in=photos):
        box = BoxInfo(left=face.left, top=face.top, right=face.right, bottom=face.bottom)
        known[face.photo_id].append(KnownFace(face_id=str(face.id), box=box))
    return [
        PhotoRef(photo_id=str(photo.id), storage_key=str(photo.file.name), known_faces=tuple(known[photo.id]))
        for photo in photos
    ]

"""From rows to queue messages. A queue that is down is a warning for the caller: the rows wait and are sent later."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from tasks.errors import QueueUnavailable
from tasks.messages.base import BoxInfo, Target
from tasks.messages.indexing import IndexRequest, KnownFace, PhotoRef, RemoveRequest
from tasks.queues import index_queue
from tasks.work_queue import work_queue
from webapp.gallery.chunks import chunks
from webapp.gallery.models import Face, Photo
from webapp.generations.models import Generation
from webapp.generations.selectors import active_generation, live_generations
from webapp.http.problems import QUEUE_DOWN

logger = logging.getLogger(__name__)

#: How many photos one removal message carries.
REMOVAL_CHUNK_SIZE = 100


def enqueue_index(photos: Sequence[Photo]) -> None:
    """Send photos of one gallery to the active pack's index queue as one message. Raises QueueUnavailable."""
    target = active_generation().target
    send_photos(photos, target=target, queue=index_queue(target.pack))


def send_photos(photos: Sequence[Photo], *, target: Target, queue: str, located_in: Generation | None = None) -> None:
    """Send photos of one gallery to be indexed in the target's collection. Raises QueueUnavailable.

    `located_in` is a generation whose detector is that of the target: where it has found faces, nothing looks again.
    """
    gallery_id = str(photos[0].gallery_id)
    refs = tuple(_photo_refs(photos, located_in))
    work_queue().send(IndexRequest(target=target, gallery_id=gallery_id, photos=refs), queue=queue)


def send_for_removal(*, gallery_id: UUID, photo_ids: Sequence[UUID]) -> str:
    """Ask for the removal of the photos' faces. Returns a warning when the queue is down."""
    try:
        enqueue_removal(gallery_id=gallery_id, photo_ids=photo_ids)
    except QueueUnavailable as error:
        logger.warning("Photos stay marked for deletion until the queue is back: %s", error)
        return QUEUE_DOWN
    return ""


def enqueue_removal(*, gallery_id: UUID, photo_ids: Sequence[UUID]) -> None:
    """Ask for the removal of the photos' faces from every live generation. Raises QueueUnavailable."""
    targets = tuple(generation.target for generation in live_generations())
    for chunk in chunks(photo_ids, REMOVAL_CHUNK_SIZE):
        ids = tuple(str(photo_id) for photo_id in chunk)
        request = RemoveRequest(targets=targets, gallery_id=str(gallery_id), photo_ids=ids)
        work_queue().send(request, queue=index_queue(targets[0].pack))


def index_queue_length() -> int:
    """Return how many messages wait in the active pack's index queue. Raises QueueUnavailable."""
    [status] = work_queue().statuses([index_queue(active_generation().pack)])
    return status.waiting


def left_index_queue(seconds: float) -> datetime:
    """Return a time: what was sent before it left the index queue `seconds` ago. Raises QueueUnavailable."""
    return datetime.fromtimestamp(work_queue().left_before(index_queue(active_generation().pack), seconds), tz=UTC)


def _photo_refs(photos: Sequence[Photo], located_in: Generation | None) -> list[PhotoRef]:
    """Refer to the photos, with the faces they have already: a face found again keeps its id."""
    known: defaultdict[UUID, list[KnownFace]] = defaultdict(list)
    for face in Face.objects.filter(photo__in=photos):
        known[face.photo_id].append(KnownFace(face_id=str(face.id), box=_box(face)))
    located = _located_faces(photos, located_in) if located_in else {}
    return [
        PhotoRef(
            photo_id=str(photo.id),
            storage_key=str(photo.file.name),
            known_faces=tuple(located.get(photo.id, known[photo.id])),
            detector=located_in.detector if located_in and photo.id in located else "",
        )
        for photo in photos
    ]


def _located_faces(photos: Sequence[Photo], generation: Generation) -> dict[UUID, list[KnownFace]]:
    """Return, by photo, the faces that the generation has found, where its detector of today has found all of them."""
    found: defaultdict[UUID, list[Face]] = defaultdict(list)
    for face in Face.objects.filter(photo__in=photos, generations=generation):
        found[face.photo_id].append(face)
    return {
        photo_id: [
            KnownFace(face_id=str(face.id), box=_box(face), landmarks=face.landmarks, score=face.score)
            for face in faces
        ]
        for photo_id, faces in found.items()
        if all(face.detector == generation.detector for face in faces)
    }


def _box(face: Face) -> BoxInfo:
    return BoxInfo(left=face.left, top=face.top, right=face.right, bottom=face.bottom)

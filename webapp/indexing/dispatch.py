"""From rows to queue messages. When the queue is down, the rows wait and are sent later."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from tasks.errors import QueueUnavailable
from tasks.health.inspection import QueueStatus
from tasks.messages.base import BoxInfo, Target
from tasks.messages.indexing import IndexRequest, KnownFace, PhotoRef, RemoveRequest
from tasks.queues import Priority, index_queue
from tasks.work_queue import work_queue
from webapp.gallery.attempts import AttemptedQuerySet, Row
from webapp.gallery.chunks import chunks
from webapp.gallery.models import Face, Photo
from webapp.generations.models import Generation
from webapp.generations.selectors import active_generation, live_generations

#: The most photos in one removal message.
REMOVAL_CHUNK_SIZE = 100


def send_claimed(rows: AttemptedQuerySet[Row], messages: Sequence[list[Row]], send: Callable[[list[Row]], None]) -> int:
    """Send claimed rows message by message; return how many were sent.

    Raises QueueUnavailable, after giving back the rows that were not sent.
    """
    for position, message in enumerate(messages):
        try:
            send(message)
        except QueueUnavailable:
            rows.give_back([row for unsent in messages[position:] for row in unsent])
            raise
    return sum(map(len, messages))


def enqueue_index(photos: Sequence[Photo], *, priority: Priority = Priority.NORMAL) -> None:
    """Send photos of one gallery to the active pack's index queue as one message. Raises QueueUnavailable."""
    target = active_generation().target
    send_photos(photos, target=target, queue=index_queue(target.pack), alone=photos[0].is_suspect, priority=priority)


def send_photos(
    photos: Sequence[Photo],
    *,
    target: Target,
    queue: str,
    alone: bool,
    located_in: Generation | None = None,
    priority: Priority = Priority.NORMAL,
) -> None:
    """Send photos of one gallery to be indexed in the target's collection. Raises QueueUnavailable.

    `located_in` is a generation with the same detector as the target: where it has found faces, they are not detected
    again. A suspect is sent as the only photo, and `alone`.
    """
    gallery_id = str(photos[0].gallery_id)
    refs = tuple(photo_refs(photos, located_in))
    request = IndexRequest(target=target, gallery_id=gallery_id, photos=refs, alone=alone)
    work_queue().send(request, queue=queue, priority=priority)


def enqueue_removal(
    *, gallery_id: UUID, photo_ids: Sequence[UUID], priority: Priority = RemoveRequest.priority
) -> None:
    """Request the removal of the photos' vectors from every live generation. Raises QueueUnavailable."""
    targets = tuple(generation.target for generation in live_generations())
    for chunk in chunks(photo_ids, REMOVAL_CHUNK_SIZE):
        ids = tuple(str(photo_id) for photo_id in chunk)
        request = RemoveRequest(targets=targets, gallery_id=str(gallery_id), photo_ids=ids)
        work_queue().send(request, queue=index_queue(targets[0].pack), priority=priority)


def index_queue_status() -> QueueStatus:
    """Return what waits in the active pack's index queue. Raises QueueUnavailable."""
    [status] = work_queue().statuses([index_queue(active_generation().pack)])
    return status


def left_index_queue(seconds: float) -> datetime:
    """Return a time: messages sent before it left the index queue at least `seconds` ago. Raises QueueUnavailable."""
    return datetime.fromtimestamp(work_queue().left_before(index_queue(active_generation().pack), seconds), tz=UTC)


def photo_refs(photos: Sequence[Photo], located_in: Generation | None = None) -> list[PhotoRef]:
    """Refer to the photos, with the faces they already have: a face that is found again keeps its id."""
    known: defaultdict[UUID, list[KnownFace]] = defaultdict(list)
    unrendered: set[UUID] = set()
    for face in Face.objects.filter(photo__in=photos):
        known[face.photo_id].append(KnownFace(face_id=str(face.id), box=_box(face)))
        if not face.crop:
            unrendered.add(face.photo_id)
    located = _located_faces(photos, located_in) if located_in else {}
    return [
        PhotoRef(
            photo_id=str(photo.id),
            storage_key=str(photo.file.name),
            # The job of a settled photo says nothing: a generation wants it even if the rest of the job was cancelled.
            job_id=str(photo.job_id or "") if photo.state == Photo.State.PENDING else "",
            known_faces=tuple(located.get(photo.id, known[photo.id])),
            detector=located_in.detector if located_in and photo.id in located else "",
            is_rendered=bool(photo.renditions) and photo.id not in unrendered,
        )
        for photo in photos
    ]


def _located_faces(photos: Sequence[Photo], generation: Generation) -> dict[UUID, list[KnownFace]]:
    """Return the faces that the generation has found, by photo, if its present detector has found all of them."""
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

"""Writes to galleries and photos. Each function owns its transaction and sends to the queue after the commit.

Every change of a photo's state is guarded by the state it expects, so that a task may run twice and late answers
change nothing. A queue that is down never loses a photo: it stays `pending` (or `deleting`) and
`stale_photos_requeue` sends it later.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from tasks.messages import PhotoOutcomeInfo
from webapp.gallery import dispatch
from webapp.gallery.adding import AddedFile, PhotosAdded, photos_add
from webapp.gallery.models import Face, Gallery, Photo
from webapp.problems import Problem

__all__ = [
    "AddedFile",
    "PhotosAdded",
    "failed_photos_retry",
    "gallery_create",
    "gallery_delete",
    "outcomes_record",
    "photos_add",
    "photos_delete",
    "removals_record",
    "stale_photos_requeue",
]

logger = logging.getLogger(__name__)

#: How many photos one sweep sends again; the next sweep waits until the workers have taken them.
SWEEP_SIZE = 2000
#: From this attempt on a photo travels alone: one that kills its worker must not take its neighbours with it.
ALONE_FROM_ATTEMPT = 3

State = Photo.State


def gallery_create(*, owner: AbstractBaseUser | AnonymousUser, name: str) -> Gallery:
    """Create a gallery; a name is taken once per owner."""
    name = " ".join(name.split())
    longest = Gallery._meta.get_field("name").max_length or 0
    if not name or len(name) > longest:
        raise Problem("gallery_name", f"A gallery needs a name of 1 to {longest} characters.", status=400)
    try:
        with transaction.atomic():
            return Gallery.objects.create(owner_id=owner.pk, name=name)  # type: ignore[misc]
    except IntegrityError:
        raise Problem("gallery_exists", f"You already have a gallery named “{name}”.", status=409) from None


def gallery_delete(*, gallery: Gallery) -> str:
    """Delete the gallery and all its photos; the row goes with the last photo. Returns a warning or ""."""
    with transaction.atomic(durable=True):
        # photos_add locks this row, so no photo slips in between.
        Gallery.objects.filter(id=gallery.id).update(deleting=True)
        photos = gallery.photos.select_for_update().exclude(state=State.DELETING)
        photo_ids = list(photos.values_list("id", flat=True))
        gallery.photos.exclude(state=State.DELETING).update(state=State.DELETING, enqueued_at=timezone.now())
        _delete_emptied_galleries([gallery.id])
    return dispatch.send_for_removal(gallery_id=gallery.id, photo_ids=photo_ids)


def outcomes_record(*, gallery_id: UUID, outcomes: Sequence[PhotoOutcomeInfo]) -> None:
    """Write down what became of photos of one gallery. May run twice, and late.

    A photo that was deleted meanwhile is left alone, but its faces, indexed after they were removed, are removed
    once more. Raises QueueUnavailable when that cannot be sent: nothing else would remember it.
    """
    orphans: list[UUID] = []
    for outcome in outcomes:
        if not _outcome_record(outcome) and outcome.faces:
            orphans.append(UUID(outcome.photo_id))
    dispatch.enqueue_removal(gallery_id=gallery_id, photo_ids=orphans)


def _outcome_record(outcome: PhotoOutcomeInfo) -> bool:
    """Apply one outcome; False when its photo is deleted."""
    with transaction.atomic():
        photo = Photo.objects.select_for_update().exclude(state=State.DELETING).filter(id=outcome.photo_id).first()
        if photo is None:
            return False
        if outcome.state == "failed" and photo.state not in (State.PENDING, State.FAILED):
            return True  # the photo was sent twice, and one of the two runs succeeded
        photo.state = State(outcome.state)
        photo.code, photo.message = outcome.code, outcome.message
        photo.width, photo.height = outcome.width, outcome.height
        photo.image_format = outcome.image_format
        photo.save(update_fields=["state", "code", "message", "width", "height", "image_format"])
        _faces_replace(photo, outcome)
    return True


def _faces_replace(photo: Photo, outcome: PhotoOutcomeInfo) -> None:
    faces = [
        Face(
            id=face.face_id,
            photo=photo,
            **face.box.model_dump(),
            landmarks=[list(point) for point in face.landmarks],
            score=face.score,
            quality=face.quality,
        )
        for face in outcome.faces
    ]
    photo.faces.exclude(id__in=[face.id for face in faces]).delete()
    Face.objects.bulk_create(
        faces,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["left", "top", "right", "bottom", "landmarks", "score", "quality"],
    )


def photos_delete(*, gallery: Gallery, photo_ids: Iterable[UUID]) -> str:
    """Mark photos for deletion; they go once their faces are gone from the vector store. Returns a warning or ""."""
    with transaction.atomic(durable=True):
        rows = gallery.photos.select_for_update().exclude(state=State.DELETING).filter(id__in=list(photo_ids))
        found = list(rows.values_list("id", flat=True))
        gallery.photos.filter(id__in=found).update(state=State.DELETING, enqueued_at=timezone.now())
    return dispatch.send_for_removal(gallery_id=gallery.id, photo_ids=found)


def removals_record(*, photo_ids: Sequence[UUID | str]) -> None:
    """Delete file and row of photos whose faces are gone. May run twice.

    The file goes first: a crash in between leaves a `deleting` row, which is removed again, and never a file
    that nobody knows of.
    """
    photos = list(Photo.objects.filter(id__in=photo_ids, state=State.DELETING))
    for photo in photos:
        default_storage.delete(str(photo.file.name))
    with transaction.atomic():
        Photo.objects.filter(id__in=[photo.id for photo in photos], state=State.DELETING).delete()
        _delete_emptied_galleries({photo.gallery_id for photo in photos})


def _delete_emptied_galleries(gallery_ids: Iterable[UUID]) -> None:
    Gallery.objects.filter(id__in=gallery_ids, deleting=True, photos=None).delete()


def failed_photos_retry(*, gallery: Gallery, photo_ids: Iterable[UUID] | None = None) -> tuple[int, str]:
    """Send the gallery's failed photos (or these of them) again. Returns how many, and a warning or ""."""
    with transaction.atomic(durable=True):
        failed = gallery.photos.select_for_update().filter(state=State.FAILED)
        if photo_ids is not None:
            failed = failed.filter(id__in=list(photo_ids))
        photos = list(failed)
        Photo.objects.filter(id__in=[photo.id for photo in photos], state=State.FAILED).update(
            state=State.PENDING, code="", message="", attempts=1, enqueued_at=timezone.now()
        )
    return len(photos), dispatch.send_for_indexing(photos)


def stale_photos_requeue() -> None:
    """Send again what was sent and never answered; give up on a photo that was sent too often.

    While messages still wait in the index queue nothing is stale: the workers are merely busy.
    Raises QueueUnavailable when the queue cannot be read.
    """
    if dispatch.index_queue_length() > 0:
        return
    now = timezone.now()
    cutoff = now - timedelta(seconds=settings.INDEX_LEASE_SECONDS)
    stale = Photo.objects.filter(enqueued_at__lt=cutoff)
    given_up = stale.filter(state=State.PENDING, attempts__gte=settings.INDEX_MAX_ATTEMPTS).update(
        state=State.FAILED,
        code="gave_up",
        message=f"No worker finished this photo in {settings.INDEX_MAX_ATTEMPTS} attempts.",
    )
    with transaction.atomic(durable=True):
        pending = list(stale.select_for_update().filter(state=State.PENDING)[:SWEEP_SIZE])
        deleting = list(stale.select_for_update().filter(state=State.DELETING)[:SWEEP_SIZE])
        Photo.objects.filter(id__in=[photo.id for photo in pending]).update(enqueued_at=now, attempts=F("attempts") + 1)
        Photo.objects.filter(id__in=[photo.id for photo in deleting]).update(enqueued_at=now)
    alone = [photo for photo in pending if photo.attempts + 1 >= ALONE_FROM_ATTEMPT]
    dispatch.send_for_indexing([photo for photo in pending if photo.attempts + 1 < ALONE_FROM_ATTEMPT])
    dispatch.send_for_indexing(alone, chunk_size=1)
    for photo in deleting:
        dispatch.send_for_removal(gallery_id=photo.gallery_id, photo_ids=[photo.id])
    if given_up or pending or deleting:
        logger.info(
            "Stale photos: %d sent again, %d removals sent again, %d given up.", len(pending), len(deleting), given_up
        )

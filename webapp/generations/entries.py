"""Writes to entries."""

import logging
from collections.abc import Collection, Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from tasks.messages.base import ErrorInfo
from tasks.messages.generations import Copied
from tasks.messages.indexing import PhotoOutcomeInfo
from webapp.gallery.models import Face, Photo
from webapp.generations.models import Entry, Generation

logger = logging.getLogger(__name__)


def entries_forget(entries: QuerySet[Entry], *, generation: Generation) -> int:
    """Forget what became of these photos in the generation, so that they are sent there again; return how many."""
    with transaction.atomic():
        # First of all: it locks the row that a tick locks as well before it touches entries.
        Generation.objects.filter(pk=generation.pk).update(looked_through_at=None)
        count, _ = entries.delete()
    return count


#: Rows in one statement.
BATCH_SIZE = 1000
_Membership = Face.generations.through


def outcome_enter(*, generation: Generation, photo: Photo, outcome: PhotoOutcomeInfo) -> None:
    """Write an outcome into the generation's entry of the photo, in the caller's transaction. May run twice, and late.

    A `failed` never overwrites what has succeeded. When other faces come out than before in the generation that is
    searched, the photo's entries in the others are forgotten, so that they follow.
    """
    now = timezone.now()
    entry, is_new = Entry.objects.get_or_create(generation=generation, photo=photo)
    if outcome.state == "failed" and entry.state in (Entry.State.INDEXED, Entry.State.NO_FACES):
        return
    entry.state, entry.code, entry.message = Entry.State(outcome.state), outcome.code, outcome.message
    entry.settled_at = now
    entry.save(update_fields=["state", "code", "message", "settled_at"])
    if outcome.state == "failed":
        return  # its old faces stay in the collection as they are
    _faces_write(generation, photo, outcome)
    has_changed = _membership_set(generation, photo, {UUID(face.face_id) for face in outcome.faces})
    if generation.state == Generation.State.ACTIVE and (is_new or has_changed):
        photo.entries.exclude(generation=generation).delete()


def _faces_write(generation: Generation, photo: Photo, outcome: PhotoOutcomeInfo) -> None:
    """Write the rows of faces; a known face is where the active generation has found it."""
    geometry = ["left", "top", "right", "bottom", "landmarks", "score", "quality", "detector"]
    faces = [
        Face(
            id=face.face_id,
            photo=photo,
            **face.box.model_dump(),
            landmarks=[list(point) for point in face.landmarks],
            score=face.score,
            quality=face.quality,
            detector=outcome.detector,
        )
        for face in outcome.faces
    ]
    if generation.state == Generation.State.ACTIVE:
        Face.objects.bulk_create(faces, update_conflicts=True, unique_fields=["id"], update_fields=geometry)
    else:
        Face.objects.bulk_create(faces, ignore_conflicts=True)


def _membership_set(generation: Generation, photo: Photo, face_ids: Collection[UUID]) -> bool:
    """Say that the generation has exactly these faces of the photo; return whether it had others before."""
    members = _Membership.objects.filter(generation_id=generation.pk, face__photo=photo)
    before = set(members.values_list("face_id", flat=True))
    lost = before - set(face_ids)
    members.filter(face_id__in=lost).delete()
    if generation.state == Generation.State.ACTIVE:
        # The same pack has thought better of it. What is named, or found by another generation, stays.
        Face.objects.filter(id__in=lost, person=None, generations=None).delete()
    new = [_Membership(generation_id=generation.pk, face_id=face_id) for face_id in set(face_ids) - before]
    _Membership.objects.bulk_create(new, ignore_conflicts=True)
    return before != set(face_ids)


def failure_note(*, generation: Generation, photo_ids: Sequence[UUID | str], error: ErrorInfo) -> None:
    """Note why a worker could not finish these photos of a generation. They are sent again."""
    pending = generation.entries.filter(photo_id__in=photo_ids, state=Entry.State.PENDING)
    pending.update(code=error.code, message=error.message)


def copy_enter(*, generation: Generation, source: Generation, copied: Copied) -> bool:
    """Write down that a range of photos was copied from the source. May run twice.

    Returns False when the collection has another number of faces of them than the source should have: then they are to
    be copied again, because somebody has written to the source in between.
    """
    photos = Photo.objects.filter(gallery=UUID(copied.gallery_id), id__gte=copied.first, id__lte=copied.last).exclude(
        state=Photo.State.DELETING
    )
    with transaction.atomic():
        members = _Membership.objects.filter(generation_id=source.pk, face__photo__in=photos)
        face_ids = list(members.values_list("face_id", flat=True))
        pending = Entry.objects.filter(generation=generation, photo__in=photos, state=Entry.State.PENDING)
        if len(face_ids) != copied.face_count:
            logger.info("Copied %d faces where %d were to be: once more.", copied.face_count, len(face_ids))
            pending.update(enqueued_at=None)
            return False
        _Membership.objects.bulk_create(
            [_Membership(generation_id=generation.pk, face_id=face_id) for face_id in face_ids],
            ignore_conflicts=True,
            batch_size=BATCH_SIZE,
        )
        for state in (Entry.State.INDEXED, Entry.State.NO_FACES, Entry.State.FAILED):
            _settle_as_in(pending, source, state)
    return True


def _settle_as_in(pending: QuerySet[Entry], source: Generation, state: Entry.State) -> None:
    same = Entry.objects.filter(generation=source, state=state).values("photo_id")
    pending.filter(photo__in=same).update(state=state, settled_at=timezone.now())

"""Writes to entries, and to the photos that show them.

A settled photo shows the outcome of its entry in the active generation: state, code and message are copied when the
active generation records an outcome, and for all photos when another generation is activated. A cancelled photo stays
cancelled, and a photo without an entry in the active generation keeps what it showed before.
"""

import logging
from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from tasks import clock
from tasks.messages.generations import Copied
from tasks.messages.indexing import PhotoOutcomeInfo
from webapp.gallery.attempts import outcome_of
from webapp.gallery.models import Face, Photo
from webapp.generations.models import Entry, Generation
from webapp.generations.selectors import SETTLED

logger = logging.getLogger(__name__)

#: Rows in one statement.
BATCH_SIZE = 1000
_Membership = Face.generations.through


def entries_forget(entries: QuerySet[Entry], *, generation: Generation) -> int:
    """Delete these entries of the generation, so that their photos are sent to it again; return how many."""
    with transaction.atomic():
        # This comes first because it locks the row that a tick also locks before it changes entries.
        Generation.objects.filter(pk=generation.pk).update(looked_through_at=None)
        count, _ = entries.delete()
    return count


def photos_follow(generation: Generation) -> None:
    """Copy the outcomes of the generation, which is active from now on, to the photos that show another one."""
    settled = Photo.objects.filter(state__in=SETTLED)
    entry = Entry.objects.filter(generation=generation, photo=OuterRef("pk")).exclude(state=Entry.State.PENDING)
    differing = entry.exclude(state=OuterRef("state"), code=OuterRef("code"), message=OuterRef("message"))
    settled.filter(Exists(differing)).update(**outcome_of(entry))


def outcome_enter(*, generation: Generation, photo: Photo, outcome: PhotoOutcomeInfo) -> Entry:
    """Record an outcome in the photo's entry, in the caller's transaction; return the entry. May run twice, and late.

    A failure never replaces a success: the photo was sent twice, and one of the runs succeeded. If the active
    generation finds other faces than before, the photo's entries in the other generations are deleted, so that it is
    sent to them again.
    """
    entry, is_new = Entry.objects.get_or_create(generation=generation, photo=photo)
    if outcome.state == "failed" and entry.state in (Entry.State.INDEXED, Entry.State.NO_FACES):
        return entry
    entry.state, entry.code, entry.message = Entry.State(outcome.state), outcome.code, outcome.message
    entry.settled_at = clock.utcnow()
    entry.save(update_fields=["state", "code", "message", "settled_at"])
    if outcome.state == "failed":
        return entry  # the collection still holds the faces it found earlier, if any
    _faces_write(generation, photo, outcome)
    has_changed = _membership_set(generation, photo, {UUID(face.face_id) for face in outcome.faces})
    if generation.state == Generation.State.ACTIVE and (is_new or has_changed):
        photo.entries.exclude(generation=generation).delete()
    return entry


def _faces_write(generation: Generation, photo: Photo, outcome: PhotoOutcomeInfo) -> None:
    """Write the rows of faces; only the active generation changes where a known face is."""
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
            crop=face.crop,
        )
        for face in outcome.faces
    ]
    if generation.state == Generation.State.ACTIVE:
        for has_crop in (False, True):  # without one, none was made this time: it keeps the one it has
            some = [face for face in faces if bool(face.crop) == has_crop]
            update_fields = [*geometry, "crop"] if has_crop else geometry
            Face.objects.bulk_create(some, update_conflicts=True, unique_fields=["id"], update_fields=update_fields)
    else:
        Face.objects.bulk_create(faces, ignore_conflicts=True)


def _membership_set(generation: Generation, photo: Photo, face_ids: Collection[UUID]) -> bool:
    """Make these the generation's faces of the photo; return whether it had others before."""
    members = _Membership.objects.filter(generation_id=generation.pk, face__photo=photo)
    before = set(members.values_list("face_id", flat=True))
    lost = before - set(face_ids)
    members.filter(face_id__in=lost).delete()
    if generation.state == Generation.State.ACTIVE:
        # Its pack no longer finds these. Keep faces that have a name or that another generation finds.
        Face.objects.filter(id__in=lost, person=None, generations=None).delete()
    new = [_Membership(generation_id=generation.pk, face_id=face_id) for face_id in set(face_ids) - before]
    _Membership.objects.bulk_create(new, ignore_conflicts=True)
    return before != set(face_ids)


def copy_enter(*, generation: Generation, source: Generation, copied: Copied) -> bool:
    """Record that a range of photos was copied from the source. May run twice.

    Return False if the number of copied faces is not the number that the database has for the source, because something
    wrote to the source in the meantime: the range is then copied again.
    """
    photos = Photo.objects.filter(gallery=UUID(copied.gallery_id), id__gte=copied.first, id__lte=copied.last).exclude(
        state__in=(Photo.State.DELETING, Photo.State.MOVING)
    )
    with transaction.atomic():
        members = _Membership.objects.filter(generation_id=source.pk, face__photo__in=photos)
        face_ids = list(members.values_list("face_id", flat=True))
        pending = Entry.objects.filter(generation=generation, photo__in=photos, state=Entry.State.PENDING)
        if len(face_ids) != copied.face_count:
            logger.info("Copied %d faces instead of %d; copying them again.", copied.face_count, len(face_ids))
            pending.send_again()
            return False
        _Membership.objects.bulk_create(
            [_Membership(generation_id=generation.pk, face_id=face_id) for face_id in face_ids],
            ignore_conflicts=True,
            batch_size=BATCH_SIZE,
        )
        same = Entry.objects.filter(generation=source, photo=OuterRef("photo")).exclude(state=Entry.State.PENDING)
        pending.filter(Exists(same)).update(**outcome_of(same) | {"settled_at": clock.utcnow()})
    return True

"""Deleting photos and galleries: rows stay until their vectors are removed from every live generation.

Photos that are moved to another gallery (`moving.py`) take the same way: their vectors are removed where they were.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from tasks import clock
from tasks.errors import QueueUnavailable
from tasks.storage.photo_files import photo_files_delete
from tasks.work_queue import work_queue
from webapp.gallery import quotas
from webapp.gallery.chunks import chunks
from webapp.gallery.models import Gallery, Photo, Tombstone
from webapp.gallery.selectors import IDS_PER_QUERY
from webapp.gallery.tombstones import tombstones_set
from webapp.http.problems import QUEUE_DOWN, not_found
from webapp.http.rest.conditions import Check, no_check
from webapp.indexing import dispatch
from webapp.indexing.feeding import EVER, index_queue_feed
from webapp.jobs.models import Job
from webapp.jobs.services import job_start, jobs_finish

logger = logging.getLogger(__name__)

#: The most photos of a gallery whose removal is requested at a time: four messages.
REMOVALS_AT_ONCE: Final = 4 * dispatch.REMOVAL_CHUNK_SIZE

State = Photo.State


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotosDeleted:
    """The photos that are being deleted now; others are gone or were marked before. `job`: None for one or no photo.

    `warning` is not empty when the queue is down: the photos stay marked and are deleted later.
    """

    photo_ids: frozenset[UUID]
    job: Job | None
    warning: str


def gallery_delete(*, gallery: Gallery, requested_by_id: int | None = None, check: Check = no_check) -> str:
    """Delete the gallery and all its photos; its row is deleted with the last photo. Return a warning or "".

    `check` is called when nobody else can change the gallery any more; what it raises prevents the deletion. Raises
    Problem (`not_found`) when the gallery is gone or somebody else's by now.
    """
    with transaction.atomic(durable=True):
        # photos_add and a transfer lock this row, too: nobody adds a photo, or gets the gallery, in between.
        mine = Gallery.objects.select_for_update().filter(id=gallery.id, owner=gallery.owner_id)
        if mine.first() is None:
            raise not_found("gallery")
        check()
        Gallery.objects.filter(id=gallery.id).update(deleting=True)
        marked, _ = _mark_for_deletion(gallery, gallery.photos.all(), requested_by_id)
        _delete_emptied_galleries([gallery.id])
    work_queue().withdraw([str(gallery.id)])
    return removals_feed([gallery.id, *_left_by(marked)])


def photos_delete(
    *,
    gallery: Gallery,
    photo_ids: Iterable[UUID],
    requested_by_id: int | None = None,
    check: Check = no_check,
) -> PhotosDeleted:
    """Mark photos for deletion; they are deleted once their vectors are removed. Deleting several photos is a job.

    Many photos are given as a query for their ids: it becomes a part of the queries here.

    What `check` raises prevents the deletion. Raises Problem (`not_found`) when the gallery is gone.
    """
    with transaction.atomic(durable=True):
        # Moves lock this row, too: a photo that is not here when it is looked for is not marked when it has come.
        locked = Gallery.objects.select_for_update(no_key=True).filter(id=gallery.id).first()
        if locked is None:
            raise not_found("gallery")
        check()
        chosen = locked.photos.filter(id__in=photo_ids)
        marked, job = _mark_for_deletion(locked, chosen, requested_by_id)
    work_queue().withdraw([str(photo.id) for photo in marked if photo.state == State.PENDING and photo.enqueued_at])
    warning = removals_feed([gallery.id, *_left_by(marked)])
    return PhotosDeleted(photo_ids=frozenset(photo.id for photo in marked), job=job, warning=warning)


def _mark_for_deletion(
    gallery: Gallery, photos: QuerySet[Photo], requested_by_id: int | None
) -> tuple[list[Photo], Job | None]:
    """Mark the photos that are not marked yet; return them as they were, and their job."""
    kept = photos.exclude(state=State.DELETING)
    found = list(kept.select_for_update().only("id", "gallery", "state", "enqueued_at", "moved_from"))
    job = None
    if len(found) > 1:
        job = job_start(kind=Job.Kind.DELETE, gallery=gallery, total=len(found), requested_by_id=requested_by_id)
    # By their ids: what belongs to the query may have become more meanwhile.
    for photo_ids in chunks((photo.id for photo in found), IDS_PER_QUERY):
        Photo.objects.filter(id__in=photo_ids).update(state=State.DELETING, enqueued_at=None, job=job)
    return found, job


def _left_by(photos: Iterable[Photo]) -> set[UUID]:
    """Return the galleries that these photos have left, and that may still have vectors of them."""
    return {photo.moved_from for photo in photos if photo.moved_from}


def removals_feed(gallery_ids: Iterable[UUID] | None = None) -> str:
    """Request the next removals of photos that are deleted from or have left these galleries, or any gallery.

    A gallery has a few messages under way at a time, however large it is, so that nobody's removal waits behind that of
    a large gallery. Return a warning when the queue is down: the photos stay marked, and the sweep feeds them again.
    """
    for gallery_id in _galleries_with_removals(gallery_ids):
        photo_ids = _claim_removals(gallery_id)
        try:
            dispatch.enqueue_removal(gallery_id=gallery_id, photo_ids=photo_ids)
        except QueueUnavailable as error:
            logger.warning("The vectors of photos are removed once the queue is back: %s", error)
            _to_remove(gallery_id).filter(id__in=photo_ids).update(enqueued_at=None)
            return QUEUE_DOWN
    return ""


def _galleries_with_removals(gallery_ids: Iterable[UUID] | None) -> set[UUID]:
    """Return those of the galleries, or of all, that have removals to request. One that is left may be gone itself."""
    deleted = Photo.objects.filter(gallery=OuterRef("pk"), state=State.DELETING, moved_from=None, enqueued_at=None)
    galleries = Gallery.objects.filter(Exists(deleted))
    left = Photo.objects.filter(moved_from__isnull=False, enqueued_at=None)
    if gallery_ids is not None:
        asked = list(gallery_ids)
        galleries, left = galleries.filter(id__in=asked), left.filter(moved_from__in=asked)
    left_ids = left.order_by().values_list("moved_from", flat=True).distinct()
    return {*galleries.values_list("id", flat=True), *(each for each in left_ids if each)}


def _to_remove(gallery_id: UUID) -> QuerySet[Photo]:
    """Return the photos whose vectors are to be removed from the gallery: those that left it, and those deleted there.

    A photo that is deleted before its move is over is first removed from the gallery that it left.
    """
    return Photo.objects.filter(Q(moved_from=gallery_id) | Q(gallery=gallery_id, state=State.DELETING, moved_from=None))


def _claim_removals(gallery_id: UUID) -> list[UUID]:
    """Mark the next removals of the gallery as requested; return the ids of their photos."""
    marked = _to_remove(gallery_id)
    with transaction.atomic(durable=True):
        room = REMOVALS_AT_ONCE - marked.filter(enqueued_at__gt=EVER).count()
        waiting = marked.filter(enqueued_at=None).select_for_update(skip_locked=True)
        photo_ids = list(waiting.order_by("id").values_list("id", flat=True)[: max(0, room)])
        Photo.objects.filter(id__in=photo_ids).update(enqueued_at=clock.utcnow())
    return photo_ids


def removals_record(*, gallery_id: UUID, photo_ids: Sequence[UUID | str]) -> None:
    """Go on with photos whose vectors are removed from a gallery. May run twice, and late.

    Rows and files of deleted photos are deleted; photos that were moved wait to be indexed in their gallery.

    Files are deleted first: a crash in between leaves a `deleting` row, whose removal is sent again, and never a file
    without a row. So does a storage that fails. A photo whose row is gone already may have got files since, from a
    worker that was late: they go, too. Raises QueueUnavailable when a photo must be indexed again and cannot be sent.
    """
    photos = list(_to_remove(gallery_id).filter(id__in=photo_ids))
    moved = [photo for photo in photos if photo.moved_from]
    deleted = [photo for photo in photos if not photo.moved_from and _files_delete(photo.id)]
    there = set(Photo.objects.filter(id__in=photo_ids).values_list("id", flat=True))
    cleared = [photo_id for photo_id in map(_as_id, photo_ids) if photo_id in there or _files_delete(photo_id)]
    with transaction.atomic():
        removed = Tombstone.objects.filter(gallery_id=gallery_id, photo_id__in=cleared)
        removed.filter(removal_sent_at__isnull=False).delete()
        _rows_delete(deleted)
        tombstones_set({photo.id: gallery_id for photo in deleted})
        _arrive(gallery_id, [photo.id for photo in moved])
        _delete_emptied_galleries([gallery_id])
    jobs_finish({photo.job_id for photo in deleted if photo.job_id})
    removals_feed({gallery_id, *(photo.gallery_id for photo in moved)})
    _index_again(photo_ids)
    if moved:
        index_queue_feed()


def _files_delete(photo_id: UUID) -> bool:
    """Delete the files of a photo; return False if the storage fails: the removal is sent again, and tries once more.

    It fails for this photo only: the others of the removal go on.
    """
    try:
        photo_files_delete(photo_id)
    except Exception:  # each storage has errors of its own
        logger.exception("The files of photo %s cannot be deleted now; they are tried again.", photo_id)
        return False
    return True


def _as_id(photo_id: UUID | str) -> UUID:
    return photo_id if isinstance(photo_id, UUID) else UUID(photo_id)


def _arrive(gallery_id: UUID, photo_ids: Sequence[UUID]) -> None:
    """Let moved photos that the gallery has no vectors of any more be indexed, or deleted, where they are now."""
    left = Photo.objects.filter(id__in=photo_ids, moved_from=gallery_id)
    left.filter(state=State.DELETING).update(moved_from=None, enqueued_at=None)
    left.filter(state=State.MOVING).update(moved_from=None, enqueued_at=None, state=State.PENDING)


def _rows_delete(photos: Sequence[Photo]) -> None:
    """Delete the rows of photos that are marked for deletion, and give their room back to the owners."""
    # A gallery's owner does not change in between. Taken in one order, so that no two of these wait for each other.
    galleries = Gallery.objects.select_for_update(no_key=True).filter(id__in={photo.gallery_id for photo in photos})
    owners = dict(galleries.order_by("id").values_list("id", "owner_id"))
    marked = Photo.objects.filter(id__in=[photo.id for photo in photos], state=State.DELETING)
    gone = list(marked.select_for_update().values_list("id", "gallery_id", "byte_size"))
    Photo.objects.filter(id__in=[photo_id for photo_id, _, _ in gone]).delete()
    for owner_id in set(owners.values()):
        sizes = [size for _, gallery_id, size in gone if owners[gallery_id] == owner_id]
        quotas.photos_give_back(owner_id=owner_id, photos=len(sizes), byte_size=sum(sizes))


def _index_again(photo_ids: Sequence[UUID | str]) -> None:
    """Index again, in every generation, photos that somebody wants although their vectors were removed.

    This happens to a cancelled photo that somebody retried while the removal of its late vectors was under way, and to
    a moved one whose faces a late message has written where it was: a face is in one gallery at a time. It is sent now
    rather than by the next feed, so that it is indexed after that removal whatever else is being sent.
    """
    wanted = Photo.objects.filter(id__in=photo_ids, state__in=(State.PENDING, State.INDEXED), enqueued_at__isnull=False)
    for photo in wanted:
        if photo.state == State.INDEXED:
            photo.job = None  # it may be over, and a pending photo's job is not
        with transaction.atomic():
            same = wanted.filter(id=photo.id, state=photo.state)
            if not same.update(state=State.PENDING, enqueued_at=clock.utcnow(), job=photo.job_id):
                continue
            photo.entries.all().delete()  # what they say is no longer true
        dispatch.enqueue_index([photo])


def _delete_emptied_galleries(gallery_ids: Iterable[UUID]) -> None:
    Gallery.objects.filter(id__in=gallery_ids, deleting=True, photos=None).delete()

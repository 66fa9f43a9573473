"""Deleting photos and galleries: rows stay until their vectors are removed from every live generation."""

import logging
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from tasks import clock
from tasks.errors import QueueUnavailable
from tasks.work_queue import work_queue
from webapp.gallery import quotas
from webapp.gallery.models import Gallery, Photo, Tombstone
from webapp.gallery.tombstones import tombstones_set
from webapp.http.problems import QUEUE_DOWN
from webapp.http.rest.conditions import Check, no_check
from webapp.indexing import dispatch
from webapp.jobs.models import Job
from webapp.jobs.services import job_start, jobs_finish

logger = logging.getLogger(__name__)

#: The most photos of a gallery whose removal is requested at a time: four messages.
REMOVALS_AT_ONCE: Final = 4 * dispatch.REMOVAL_CHUNK_SIZE

State = Photo.State


def gallery_delete(*, gallery: Gallery, check: Check = no_check) -> str:
    """Delete the gallery and all its photos; its row is deleted with the last photo. Return a warning or "".

    `check` is called when nobody else can change the gallery any more; what it raises prevents the deletion.
    """
    with transaction.atomic(durable=True):
        # photos_add locks this row too, so no photo can be added in between.
        Gallery.objects.select_for_update().filter(id=gallery.id).first()
        check()
        Gallery.objects.filter(id=gallery.id).update(deleting=True)
        _mark_for_deletion(gallery, gallery.photos.all())
        _delete_emptied_galleries([gallery.id])
    work_queue().withdraw([str(gallery.id)])
    return removals_feed([gallery.id])


def photos_delete(*, gallery: Gallery, photo_ids: Iterable[UUID], check: Check = no_check) -> str:
    """Mark photos for deletion; they are deleted once their vectors are removed. Return a warning or "".

    Deleting several photos is a job. What `check` raises prevents the deletion.
    """
    with transaction.atomic(durable=True):
        check()
        sent = _mark_for_deletion(gallery, gallery.photos.filter(id__in=list(photo_ids)))
    work_queue().withdraw([str(photo_id) for photo_id in sent])
    return removals_feed([gallery.id])


def _mark_for_deletion(gallery: Gallery, photos: QuerySet[Photo]) -> list[UUID]:
    """Mark the photos that are not marked yet; return the ids of those that a worker may be about to index."""
    kept = photos.exclude(state=State.DELETING)
    found = list(kept.select_for_update().values_list("id", "state", "enqueued_at"))
    job = job_start(kind=Job.Kind.DELETE, gallery=gallery, total=len(found)) if len(found) > 1 else None
    kept.update(state=State.DELETING, enqueued_at=None, job=job)
    return [photo_id for photo_id, state, sent_at in found if state == State.PENDING and sent_at]


def removals_feed(gallery_ids: Iterable[UUID] | None = None) -> str:
    """Request the next removals of photos that are marked for deletion, in these galleries or in all.

    A gallery has a few messages under way at a time, however large it is, so that nobody's removal waits behind that of
    a large gallery. Return a warning when the queue is down: the photos stay marked, and the sweep feeds them again.
    """
    waiting = Photo.objects.filter(gallery=OuterRef("pk"), state=State.DELETING, enqueued_at=None)
    galleries = Gallery.objects.filter(Exists(waiting))
    if gallery_ids is not None:
        galleries = galleries.filter(id__in=list(gallery_ids))
    for gallery_id in galleries.values_list("id", flat=True):
        photo_ids = _claim_removals(gallery_id)
        try:
            dispatch.enqueue_removal(gallery_id=gallery_id, photo_ids=photo_ids)
        except QueueUnavailable as error:
            logger.warning("Photos stay marked for deletion until the queue is back: %s", error)
            Photo.objects.filter(id__in=photo_ids, state=State.DELETING).update(enqueued_at=None)
            return QUEUE_DOWN
    return ""


def _claim_removals(gallery_id: UUID) -> list[UUID]:
    """Mark the next removals of the gallery as requested; return the ids of their photos."""
    marked = Photo.objects.filter(gallery=gallery_id, state=State.DELETING)
    with transaction.atomic(durable=True):
        room = REMOVALS_AT_ONCE - marked.filter(enqueued_at__isnull=False).count()
        waiting = marked.filter(enqueued_at=None).select_for_update(skip_locked=True)
        photo_ids = list(waiting.order_by("id").values_list("id", flat=True)[: max(0, room)])
        Photo.objects.filter(id__in=photo_ids).update(enqueued_at=clock.utcnow())
    return photo_ids


def removals_record(*, photo_ids: Sequence[UUID | str]) -> None:
    """Delete the files and rows of photos whose vectors are removed. May run twice.

    The file is deleted first: a crash in between leaves a `deleting` row, whose removal is sent again, and never a file
    without a row. Raises QueueUnavailable when a photo must be indexed again and cannot be sent.
    """
    photos = list(Photo.objects.filter(id__in=photo_ids, state=State.DELETING))
    for photo in photos:
        default_storage.delete(str(photo.file.name))
    with transaction.atomic():
        Tombstone.objects.filter(photo_id__in=photo_ids, removal_sent_at__isnull=False).delete()
        _rows_delete(photos)
        tombstones_set({photo.id: photo.gallery_id for photo in photos})
        _delete_emptied_galleries({photo.gallery_id for photo in photos})
    jobs_finish({photo.job_id for photo in photos if photo.job_id})
    removals_feed({photo.gallery_id for photo in photos})
    _index_again(photo_ids)


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

    This happens to a cancelled photo that somebody retried while the removal of its late vectors was under way. It is
    sent now rather than by the next feed, so that it is indexed after that removal whatever else is being sent.
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

"""Deleting photos and galleries: rows stay until their vectors are removed from every live generation."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import QuerySet

from tasks import clock
from webapp.gallery.models import Gallery, Photo, Tombstone
from webapp.gallery.tombstones import tombstones_set
from webapp.indexing import dispatch
from webapp.jobs.models import Job
from webapp.jobs.services import job_start, jobs_finish

State = Photo.State


def gallery_delete(*, gallery: Gallery) -> str:
    """Delete the gallery and all its photos; its row is deleted with the last photo. Return a warning or ""."""
    with transaction.atomic(durable=True):
        # photos_add locks this row too, so no photo can be added in between.
        Gallery.objects.filter(id=gallery.id).update(deleting=True)
        photo_ids = _mark_for_deletion(gallery, gallery.photos.all())
        _delete_emptied_galleries([gallery.id])
    return dispatch.send_for_removal(gallery_id=gallery.id, photo_ids=photo_ids)


def photos_delete(*, gallery: Gallery, photo_ids: Iterable[UUID]) -> str:
    """Mark photos for deletion; they are deleted once their vectors are removed. Return a warning or "".

    Deleting several photos is a job.
    """
    with transaction.atomic(durable=True):
        found = _mark_for_deletion(gallery, gallery.photos.filter(id__in=list(photo_ids)))
    return dispatch.send_for_removal(gallery_id=gallery.id, photo_ids=found)


def _mark_for_deletion(gallery: Gallery, photos: QuerySet[Photo]) -> list[UUID]:
    """Mark the photos that are not marked yet; return their ids."""
    kept = photos.exclude(state=State.DELETING)
    found = list(kept.select_for_update().values_list("id", flat=True))
    job = job_start(kind=Job.Kind.DELETE, gallery=gallery, total=len(found)) if len(found) > 1 else None
    kept.update(state=State.DELETING, enqueued_at=clock.utcnow(), job=job)
    return found


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
        Photo.objects.filter(id__in=[photo.id for photo in photos], state=State.DELETING).delete()
        tombstones_set({photo.id: photo.gallery_id for photo in photos})
        _delete_emptied_galleries({photo.gallery_id for photo in photos})
    jobs_finish({photo.job_id for photo in photos if photo.job_id})
    _index_again(photo_ids)


def _index_again(photo_ids: Sequence[UUID | str]) -> None:
    """Index again, in every generation, photos that somebody wants although their vectors were removed.

    This happens to a cancelled photo that somebody retried while the removal of its late vectors was under way. It is
    sent now rather than by the next feed, so that it is indexed after that removal whatever else is being sent.
    """
    wanted = Photo.objects.filter(id__in=photo_ids, state__in=(State.PENDING, State.INDEXED), enqueued_at__isnull=False)
    for photo in wanted:
        with transaction.atomic():
            if not wanted.filter(id=photo.id).update(state=State.PENDING, enqueued_at=clock.utcnow()):
                continue
            photo.entries.all().delete()  # what they say is no longer true
        dispatch.enqueue_index([photo])


def _delete_emptied_galleries(gallery_ids: Iterable[UUID]) -> None:
    Gallery.objects.filter(id__in=gallery_ids, deleting=True, photos=None).delete()

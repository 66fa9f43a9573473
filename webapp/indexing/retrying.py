"""Retrying photos that may succeed now: `MAY_SUCCEED` says which, whoever asks."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, QuerySet, When

from webapp.gallery.chunks import chunks
from webapp.gallery.models import MAY_SUCCEED, Gallery, Photo, Tombstone
from webapp.gallery.selectors import IDS_PER_QUERY
from webapp.http.problems import Problem
from webapp.indexing.feeding import index_queue_feed
from webapp.indexing.renditions.starting import renditions_again
from webapp.jobs.models import Job
from webapp.jobs.services import job_start
from worker.errors import PhotoKillsWorkers

State = Photo.State


def failed_photos_retry(*, gallery: Gallery, requested_by_id: int | None = None) -> tuple[Job | None, str]:
    """Send the gallery's failed photos again that may succeed. Return their new job, if any, and a warning or ""."""
    return _retry(gallery, gallery.photos.filter(state=State.FAILED), requested_by_id)


def photos_retry(
    *, gallery: Gallery, photo_ids: Iterable[UUID], requested_by_id: int | None = None
) -> tuple[Job | None, str]:
    """Send those of these photos again that were cancelled or may succeed, as `failed_photos_retry` does.

    Many photos are given as a query for their ids: it becomes a part of the queries here.
    """
    return _retry(gallery, gallery.photos.filter(id__in=photo_ids), requested_by_id)


def photo_retry(*, photo: Photo, requested_by_id: int | None = None) -> tuple[Job, str]:
    """Send the photo again, as `photos_retry` does.

    Raises Problem unless it failed or was cancelled (not_failed), or if it would fail again (would_fail_again).
    """
    job, warning = photos_retry(gallery=photo.gallery, photo_ids=[photo.id], requested_by_id=requested_by_id)
    if job is None and photo.state == State.FAILED:
        message = "This photo would fail again: what is wrong is in its file."
        raise Problem("would_fail_again", message, status=409)
    if job is None:
        raise Problem("not_failed", "This photo has not failed, so there is nothing to retry.", status=409)
    return job, warning


def job_retry(*, job: Job, requested_by_id: int | None = None) -> tuple[Job | None, str]:
    """Send those of the job's photos again that were cancelled or may succeed, as `failed_photos_retry` does."""
    if job.kind == Job.Kind.RENDITIONS:
        return renditions_again(job=job, requested_by_id=requested_by_id)
    if job.gallery is None:
        return None, ""
    return _retry(job.gallery, job.gallery.photos.filter(job=job), requested_by_id)


def photos_begin_again(photos: QuerySet[Photo], *, job: Job) -> None:
    """Let failed or cancelled photos of a gallery wait to be sent as if new, in the caller's transaction.

    One that has killed workers is a suspect from the beginning: nobody is near it when it kills the next one.
    """
    rows = photos.order_by()
    Tombstone.objects.filter(photo_id__in=rows.values("id"), gallery_id__in=rows.values("gallery_id")).delete()
    photos.update(state=State.PENDING, job=job, **as_new())


def as_new() -> dict[str, Any]:
    """Return the values for an update of photos that are to be indexed as if nobody had tried."""
    attempts = Case(When(code=PhotoKillsWorkers.code, then=1), default=0)
    return {"code": "", "message": "", "attempts": attempts, "enqueued_at": None, "settled_at": None}


def _retry(gallery: Gallery, photos: QuerySet[Photo], requested_by_id: int | None) -> tuple[Job | None, str]:
    photos = photos.filter(MAY_SUCCEED)
    with transaction.atomic(durable=True):
        found = list(photos.select_for_update().values_list("id", flat=True))
        if not found:
            return None, ""
        job = job_start(kind=Job.Kind.RETRY, gallery=gallery, total=len(found), requested_by_id=requested_by_id)
        # By their ids: what belongs to the query may have become more meanwhile.
        for some in chunks(found, IDS_PER_QUERY):
            photos_begin_again(Photo.objects.filter(id__in=some), job=job)
    return job, index_queue_feed()

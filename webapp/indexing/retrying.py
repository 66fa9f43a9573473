"""Retrying failed and cancelled photos."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Q, QuerySet, When

from webapp.gallery.models import FailedPhoto, Gallery, Photo, Tombstone
from webapp.http.problems import Problem
from webapp.indexing.feeding import index_queue_feed
from webapp.indexing.renditions.starting import renditions_again
from webapp.jobs.models import Job
from webapp.jobs.services import job_start
from worker.errors import PhotoKillsWorkers

State = Photo.State
#: The states of photos that a retry sends again.
RETRIED = (State.FAILED, State.CANCELLED)


def failed_photos_retry(*, gallery: Gallery, requested_by_id: int | None = None) -> tuple[Job | None, str]:
    """Send the gallery's failed photos again. Return their new job, if there are any, and a warning or ""."""
    return _retry(gallery, gallery.photos.filter(state=State.FAILED), requested_by_id)


def photos_retry(
    *, gallery: Gallery, photo_ids: Iterable[UUID], requested_by_id: int | None = None
) -> tuple[Job | None, str]:
    """Send those of the gallery's photos that failed or were cancelled again, as `failed_photos_retry` does.

    Many photos are given as a query for their ids: it becomes a part of the queries here.
    """
    chosen = gallery.photos.filter(state__in=RETRIED, id__in=photo_ids)
    return _retry(gallery, chosen, requested_by_id)


def photo_retry(*, photo: Photo, requested_by_id: int | None = None) -> tuple[Job, str]:
    """Send the photo again, as `failed_photos_retry` does. Raises Problem unless it failed or was cancelled."""
    job, warning = photos_retry(gallery=photo.gallery, photo_ids=[photo.id], requested_by_id=requested_by_id)
    if job is None:
        raise Problem("not_failed", "This photo has not failed, so there is nothing to retry.", status=409)
    return job, warning


def job_retry(*, job: Job, requested_by_id: int | None = None) -> tuple[Job | None, str]:
    """Send the job's cancelled photos, and its failed ones that may succeed now, as `failed_photos_retry` does."""
    if job.kind == Job.Kind.RENDITIONS:
        return renditions_again(job=job, requested_by_id=requested_by_id)
    if job.gallery is None:
        return None, ""
    may_succeed = Q(state=State.CANCELLED) | Q(state=State.FAILED, code__in=FailedPhoto.CODES)
    return _retry(job.gallery, job.gallery.photos.filter(may_succeed, job=job), requested_by_id)


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
    with transaction.atomic(durable=True):
        count = len(photos.select_for_update().values_list("id"))
        if not count:
            return None, ""
        job = job_start(kind=Job.Kind.RETRY, gallery=gallery, total=count, requested_by_id=requested_by_id)
        photos_begin_again(photos, job=job)
    return job, index_queue_feed()

"""Retrying failed and cancelled photos."""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models import Case, QuerySet, When

from webapp.gallery.models import Gallery, Photo, Tombstone
from webapp.http.problems import Problem
from webapp.indexing.feeding import index_queue_feed
from webapp.jobs.models import Job
from webapp.jobs.services import job_start
from worker.errors import PhotoKillsWorkers

State = Photo.State
#: The states of photos that a retry sends again.
RETRIED = (State.FAILED, State.CANCELLED)


def failed_photos_retry(*, gallery: Gallery) -> tuple[int, str]:
    """Send the gallery's failed photos again as a job. Return how many photos are sent again, and a warning or ""."""
    return _retried(_retry(gallery, gallery.photos.filter(state=State.FAILED)))


def photos_retry(*, gallery: Gallery, photo_ids: Iterable[UUID]) -> tuple[int, str]:
    """Send those of the gallery's photos that failed or were cancelled again, as `failed_photos_retry` does."""
    return _retried(_retry(gallery, gallery.photos.filter(state__in=RETRIED, id__in=list(photo_ids))))


def photo_retry(*, photo: Photo) -> str:
    """Send the photo again. Return a warning or "". Raises Problem unless it failed or was cancelled."""
    count, warning = photos_retry(gallery=photo.gallery, photo_ids=[photo.id])
    if not count:
        raise Problem("not_failed", "This photo has not failed, so there is nothing to retry.", status=409)
    return warning


def job_retry(*, job: Job) -> tuple[Job | None, str]:
    """Send the job's failed and cancelled photos again. Return the new job, if there are any, and a warning or ""."""
    if job.gallery is None:
        return None, ""
    return _retry(job.gallery, job.gallery.photos.filter(state__in=RETRIED, job=job))


def photos_begin_again(photos: QuerySet[Photo], *, job: Job) -> None:
    """Let failed or cancelled photos wait to be sent as if they were new, in the caller's transaction.

    One that has killed workers is a suspect from the beginning: nobody is near it when it kills the next one.
    """
    Tombstone.objects.filter(photo_id__in=photos.order_by().values("id")).delete()
    attempts = Case(When(code=PhotoKillsWorkers.code, then=1), default=0)
    photos.update(
        state=State.PENDING, code="", message="", attempts=attempts, enqueued_at=None, settled_at=None, job=job
    )


def _retry(gallery: Gallery, photos: QuerySet[Photo]) -> tuple[Job | None, str]:
    with transaction.atomic(durable=True):
        count = len(photos.select_for_update().values_list("id"))
        if not count:
            return None, ""
        job = job_start(kind=Job.Kind.RETRY, gallery=gallery, total=count)
        photos_begin_again(photos, job=job)
    return job, index_queue_feed()


def _retried(done: tuple[Job | None, str]) -> tuple[int, str]:
    job, warning = done
    return job.total if job else 0, warning

"""Retrying failed photos."""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from webapp.gallery.models import Gallery, Photo, Tombstone
from webapp.indexing.feeding import index_queue_feed
from webapp.jobs.models import Job
from webapp.jobs.services import job_start

State = Photo.State


def failed_photos_retry(*, gallery: Gallery, photo_ids: Iterable[UUID] | None = None) -> tuple[int, str]:
    """Send the gallery's failed photos, or only those given, again as a job.

    Return how many photos are sent again, and a warning or "".
    """
    photos = gallery.photos.all()
    retried, warning = _retry(gallery, photos if photo_ids is None else photos.filter(id__in=list(photo_ids)))
    return retried.total if retried else 0, warning


def job_retry(*, job: Job) -> tuple[Job | None, str]:
    """Send the job's failed and cancelled photos again. Return the new job, if there are any, and a warning or ""."""
    if job.gallery is None:
        return None, ""
    return _retry(job.gallery, job.gallery.photos.filter(job=job))


def _retry(gallery: Gallery, photos: QuerySet[Photo]) -> tuple[Job | None, str]:
    with transaction.atomic(durable=True):
        failed = photos.filter(state=State.FAILED)
        count = len(failed.select_for_update().values_list("id"))
        if not count:
            return None, ""
        Tombstone.objects.filter(photo_id__in=failed.order_by().values("id")).delete()
        job = job_start(kind=Job.Kind.RETRY, gallery=gallery, total=count)
        failed.update(state=State.PENDING, code="", message="", attempts=0, enqueued_at=None, settled_at=None, job=job)
    return job, index_queue_feed()

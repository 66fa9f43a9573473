"""Writes to jobs. A job is `running` until it is `finished` or `cancelled`; only a running job changes.

These are common to all jobs; what a job does to its photos is in `webapp/indexing`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from tasks import clock
from tasks.work_queue import work_queue
from webapp.gallery.models import UNSETTLED, Gallery, Photo, Rendering
from webapp.gallery.tombstones import tombstones_set
from webapp.http.problems import Problem, not_found
from webapp.jobs.models import Job

#: How long a job stays open while no photo is added: longer than any pause of an import that is still alive.
OPEN_SECONDS = 300.0
#: The most jobs that are deleted in one transaction.
PURGE_SIZE = 100
#: Why a cancelled photo is not indexed.
CANCELLED = "cancelled"
CANCELLED_MESSAGE = "Its job was cancelled before this photo was indexed."
UNRENDERED_MESSAGE = "The job was cancelled before the renditions of this photo were made."


def import_prepare(*, gallery: Gallery, requested_by_id: int | None = None) -> Job:
    """Return an unsaved job. Its first photo saves it, so an import that adds nothing leaves no job behind."""
    return _new(Job.Kind.IMPORT, gallery, requested_by_id)


def renditions_prepare(*, gallery: Gallery, requested_by_id: int | None = None) -> Job:
    """Return an unsaved job that makes renditions. Its first photo saves it, as that of an import does."""
    return _new(Job.Kind.RENDITIONS, gallery, requested_by_id)


def import_joined(*, job_id: UUID, gallery: Gallery, requested_by_id: int) -> Job:
    """Return the import with an id that its client has chosen, so that several requests add to it; at first, unsaved.

    Raises Problem when the id belongs to another job: of another kind, gallery or user.
    """
    found = Job.objects.filter(id=job_id).first()
    if found is None:
        prepared = import_prepare(gallery=gallery, requested_by_id=requested_by_id)
        prepared.id = job_id
        return prepared
    if (found.kind, found.gallery_id, found.requested_by_id) != (Job.Kind.IMPORT, gallery.id, requested_by_id):
        raise not_found("import")
    return found


def job_is_saved(job: Job) -> bool:
    return not job._state.adding


def photo_count_in(*, job: Job, photos: int = 1) -> None:
    """Count more photos in the job, in the caller's transaction, which has locked the gallery.

    Raises Problem when the job is over.
    """
    # Requests that join an import at the same time have each prepared it; the first to come here saves it.
    if not job_is_saved(job):
        job._state.adding = not Job.objects.filter(id=job.id, gallery=job.gallery_id).exists()
    if not job_is_saved(job):
        job.total, job.open_until = photos, _open_until()
        job.save(force_insert=True)
    elif not _running(job).update(total=F("total") + photos, open_until=_open_until()):
        raise Problem("job_over", "This job is over or was cancelled; it takes no more photos.", status=409)


def import_stay_open(*, job: Job) -> None:
    """Keep the job open although no photo is added for some time."""
    if job_is_saved(job):
        _running(job).update(open_until=_open_until())


def import_close(*, job: Job) -> None:
    """Close the job to further photos, and finish it if all of them are settled."""
    if job_is_saved(job):
        _running(job).update(open_until=None)
        jobs_finish([job.id])


def job_start(*, kind: Job.Kind, gallery: Gallery, total: int, requested_by_id: int | None = None) -> Job:
    """Save a job of `total` photos, which the caller assigns to it in the same transaction.

    `requested_by_id` is the user who asked for it, if one did.
    """
    job = _new(kind, gallery, requested_by_id)
    job.total = total
    job.save(force_insert=True)
    return job


def jobs_finish(job_ids: Iterable[UUID] | None = None) -> int:
    """Finish the jobs that have nothing left to do, among those given or all; return how many. May run at any time."""
    now = clock.utcnow()
    unsettled = Photo.objects.filter(job=OuterRef("id"), state__in=UNSETTLED).order_by()
    unrendered = Rendering.objects.filter(job=OuterRef("id"), state=Rendering.State.PENDING)
    closed = Q(open_until=None) | Q(open_until__lt=now)
    done = Job.objects.filter(closed, ~Exists(unsettled), ~Exists(unrendered), state=Job.State.RUNNING)
    if job_ids is not None:
        done = done.filter(id__in=list(job_ids))
    return done.update(state=Job.State.FINISHED, finished_at=now)


def jobs_purge() -> int:
    """Delete the jobs that ended more than JOB_RETENTION_DAYS ago; return how many. Their photos stay.

    Each batch has its own transaction, because a long one would keep other writers waiting.
    """
    ended = Job.objects.exclude(state=Job.State.RUNNING).filter(
        finished_at__lt=clock.utcnow() - timedelta(days=settings.JOB_RETENTION_DAYS)
    )
    purged = 0
    while job_ids := list(ended.order_by("finished_at").values_list("id", flat=True)[:PURGE_SIZE]):
        ended.filter(id__in=job_ids).delete()
        purged += len(job_ids)
    return purged


def job_cancel(*, job: Job) -> int:
    """Stop the job; return how many photos were still pending. Workers skip them; those to be indexed are cancelled.

    An outcome that a worker sends for such a photo even so is ignored. Raises Problem for a deletion or a
    move, and for a job that is over.
    """
    if job.kind not in Job.STOPPABLE:
        message = f"A {job.get_kind_display()} cannot be cancelled: its photos have already left their gallery."
        raise Problem("job_cannot_stop", message, status=409)
    now = clock.utcnow()
    with transaction.atomic(durable=True):
        if not _running(job).update(state=Job.State.CANCELLED, finished_at=now, open_until=None):
            raise Problem("job_over", "This job is already over.", status=409)
        pending = Photo.objects.filter(job=job, state=Photo.State.PENDING)
        # A worker that holds one of these may still index it, and die before it reports that.
        sent = pending.select_for_update().filter(enqueued_at__isnull=False)
        tombstones_set(dict(sent.values_list("id", "gallery_id")))
        cancelled = {"code": CANCELLED, "settled_at": now}
        count = pending.update(state=Photo.State.CANCELLED, message=CANCELLED_MESSAGE, **cancelled)
        unrendered = Rendering.objects.filter(job=job, state=Rendering.State.PENDING)
        count += unrendered.update(state=Rendering.State.CANCELLED, message=UNRENDERED_MESSAGE, **cancelled)
    work_queue().withdraw([str(job.id)])
    return count


def _new(kind: Job.Kind, gallery: Gallery, requested_by_id: int | None) -> Job:
    return Job(
        owner_id=gallery.owner_id,
        requested_by_id=requested_by_id,
        gallery=gallery,
        gallery_name=gallery.name,
        kind=kind,
    )


def _open_until() -> datetime:
    return clock.utcnow() + timedelta(seconds=OPEN_SECONDS)


def _running(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(id=job.id, state=Job.State.RUNNING)

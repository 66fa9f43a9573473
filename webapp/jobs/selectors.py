"""Reads of jobs. Progress is counted from the photos' rows each time, because a stored counter could drift."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from tasks import clock
from webapp.accounts.callers import Caller
from webapp.gallery.access import visible_galleries
from webapp.gallery.models import MAY_BE_RENDERED, UNSETTLED, FailedPhoto, Level, Photo, Rendering
from webapp.http.problems import not_found
from webapp.jobs.models import Job

#: The rate of a running job is measured over its last minute.
RATE_WINDOW_SECONDS = 60.0

State = Photo.State


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """The progress of a job. The counts add up to `total`."""

    total: int
    pending: int = 0
    indexed: int = 0
    no_faces: int = 0
    failed: int = 0
    cancelled: int = 0
    #: Photos that have their renditions, of a job that makes these.
    rendered: int = 0
    #: Photos that are deleted, or that a later job has taken over.
    gone: int = 0
    #: Of the failed ones, those that may succeed if they are tried again.
    retryable: int = 0
    #: Photos per second; None while no photo is done.
    rate: float | None = None
    #: None unless the job is running and has a rate.
    seconds_left: float | None = None

    @property
    def done(self) -> int:
        return self.total - self.pending


def jobs_for(caller: Caller) -> QuerySet[Job]:
    """Return the jobs in galleries that the caller may edit, newest first.

    Galleries that are gone, or are being deleted, are nobody's to edit: their jobs are their owner's.
    """
    seen = Q(gallery__in=visible_galleries(caller, Level.EDITOR))
    if caller.is_known and caller.gallery_ids is None:
        seen |= Q(owner=caller.user.pk) & (Q(gallery=None) | Q(gallery__deleting=True))
    return Job.objects.filter(seen).select_related("gallery__owner", "requested_by")


def job_for(caller: Caller, job_id: UUID | str) -> Job:
    """Return the job. Raises not_found if the caller sees no such job."""
    job = jobs_for(caller).filter(id=job_id).first()
    if job is None:
        raise not_found("job")
    return job


def failed_photos_of(job: Job, *, most: int | None = None) -> list[Photo]:
    """Return the job's failed photos by name, all or the first ones; `code` and `message` say why it failed on them."""
    if job.kind != Job.Kind.RENDITIONS:
        return list(Photo.objects.filter(job=job, state=State.FAILED).order_by("filename", "id")[:most])
    failed = Rendering.objects.filter(job=job, state=Rendering.State.FAILED).select_related("photo")
    photos = []
    for rendering in failed.order_by("photo__filename", "photo_id")[:most]:
        photo = rendering.photo
        photo.code, photo.message = rendering.code, rendering.message
        photos.append(photo)
    return photos


def progress_of(job: Job) -> JobProgress:
    return progress_of_each([job])[job.id]


def progress_of_each(jobs: Sequence[Job]) -> dict[UUID, JobProgress]:
    """Count for many jobs in one query, and one more if some of them make renditions."""
    now = clock.utcnow()
    rows = (
        Photo.objects.filter(job__in=[job.id for job in jobs])
        .order_by()
        .values("job_id")
        .annotate(
            pending=Count("id", filter=Q(state__in=UNSETTLED)),
            indexed=Count("id", filter=Q(state=State.INDEXED)),
            no_faces=Count("id", filter=Q(state=State.NO_FACES)),
            failed=Count("id", filter=Q(state=State.FAILED)),
            cancelled=Count("id", filter=Q(state=State.CANCELLED)),
            retryable=Count("id", filter=Q(state=State.FAILED, code__in=FailedPhoto.CODES)),
            lately=Count("id", filter=Q(settled_at__gte=now - timedelta(seconds=RATE_WINDOW_SECONDS))),
        )
    )
    found = {row["job_id"]: cast("dict[str, Any]", row) for row in rows}
    rendering = [job.id for job in jobs if job.kind == Job.Kind.RENDITIONS]
    found |= _unrendered(rendering) if rendering else {}
    return {job.id: _progress(job, found.get(job.id, {}), now) for job in jobs}


def _unrendered(job_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """Count the photos that jobs have made no renditions of, by state, and those of them that may succeed."""
    rows = Rendering.objects.filter(job__in=job_ids).order_by().values_list("job_id", "state")
    counted = rows.annotate(count=Count("id"), retryable=Count("id", filter=MAY_BE_RENDERED))
    found: defaultdict[UUID, dict[str, Any]] = defaultdict(dict)
    for job_id, state, count, retryable in counted:
        found[job_id] |= {state: count} | ({"retryable": retryable} if state == Rendering.State.FAILED else {})
    return found


def _progress(job: Job, row: dict[str, Any], now: datetime) -> JobProgress:
    counts = {name: row.get(name, 0) for name in ("pending", "indexed", "no_faces", "failed", "cancelled")}
    rest = max(0, job.total - sum(counts.values()))
    counts["rendered" if job.kind == Job.Kind.RENDITIONS else "gone"] = rest
    progress = JobProgress(total=job.total, retryable=row.get("retryable", 0), **counts)
    rate = _rate(job, progress, row.get("lately", 0), now)
    is_running = job.state == Job.State.RUNNING
    return replace(progress, rate=rate, seconds_left=progress.pending / rate if is_running and rate else None)


def _rate(job: Job, progress: JobProgress, lately: int, now: datetime) -> float | None:
    """Return photos per second: over the last minute while photos settle, else over the job's whole time.

    Deleted rows have no time, so jobs that delete photos, or make renditions, have the rate of their whole time.
    """
    seconds = ((job.finished_at or now) - job.created).total_seconds()
    done = progress.done - progress.cancelled
    if job.state == Job.State.RUNNING and lately:
        done, seconds = lately, min(seconds, RATE_WINDOW_SECONDS)
    return done / seconds if done and seconds > 0 else None

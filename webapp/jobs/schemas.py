"""Jobs as the API and `manage.py jobs --json` show them."""

from datetime import datetime
from uuid import UUID

from ninja import Schema

from webapp.jobs.models import Job
from webapp.jobs.selectors import JobProgress


class CountsOut(Schema):
    """The job's photos by state; they add up to its total.

    `rendered`: they have their renditions, of a job that makes these. `gone`: deleted, or taken over by a later job.
    """

    pending: int
    indexed: int
    no_faces: int
    failed: int
    cancelled: int
    rendered: int
    gone: int


class JobOut(Schema):
    id: UUID
    kind: str
    state: str
    #: The name of the user who asked for it; null when that is not known, or the user is gone.
    requested_by: str | None
    gallery_id: UUID | None
    gallery_name: str
    total: int
    counts: CountsOut
    #: Photos per second.
    rate: float | None
    seconds_left: float | None
    created: datetime
    finished_at: datetime | None


class JobsOut(Schema):
    items: list[JobOut]
    #: The `cursor` of the next part; null at the end.
    next_cursor: str | None


class RetryOut(Schema):
    """`job` is the new job of the photos that are sent again; null when there were none."""

    job: JobOut | None
    #: Not empty when the queue is down: the photos are sent once it is back.
    warning: str


def job_out(job: Job, progress: JobProgress) -> JobOut:
    """Return a job as the API and `manage.py jobs --json` show it. Fetch `requested_by` with it."""
    return JobOut(
        id=job.id,
        kind=job.kind,
        state=job.state,
        requested_by=job.requested_by.get_username() if job.requested_by else None,
        gallery_id=job.gallery_id,
        gallery_name=job.gallery_name,
        total=job.total,
        counts=CountsOut.from_orm(progress),
        rate=progress.rate,
        seconds_left=progress.seconds_left,
        created=job.created,
        finished_at=job.finished_at,
    )

"""The API of jobs."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from ninja.security import django_auth

from webapp.gallery import services as gallery_services
from webapp.gallery.api import ErrorOut
from webapp.operations import job_selectors, services
from webapp.operations.job_selectors import JobProgress
from webapp.operations.models import Job

#: Jobs on a page of the list.
PAGE_SIZE = 100

# The session's authentication in its synchronous form: these operations run in a thread as a whole.
router = Router(auth=django_auth, tags=["jobs"])

Page = Annotated[int, Query(ge=1)]


class CountsOut(Schema):
    """Photos of the job; they add up to its total. `gone`: deleted, or taken over by a later job."""

    pending: int
    indexed: int
    no_faces: int
    failed: int
    cancelled: int
    gone: int


class JobOut(Schema):
    id: UUID
    kind: str
    state: str
    gallery_id: UUID | None
    gallery_name: str
    total: int
    counts: CountsOut
    #: Photos per second.
    rate: float | None
    seconds_left: float | None
    created: datetime
    finished_at: datetime | None


class JobPage(Schema):
    jobs: list[JobOut]
    page: int
    pages: int
    total: int


class RetryOut(Schema):
    """`job` is the new job that the failed photos are in; none when there were none."""

    job: JobOut | None
    #: Not empty when they will be sent once the queue is back.
    warning: str


@router.get("/jobs", response=JobPage)
def list_jobs(request: HttpRequest, page: Page = 1) -> JobPage:
    """List your jobs, newest first."""
    paginator = Paginator(job_selectors.jobs_for(request.user), PAGE_SIZE)
    jobs = list(paginator.page(page).object_list) if page <= paginator.num_pages else []
    progress = job_selectors.progress_of_each(jobs)
    return JobPage(
        jobs=[job_out(job, progress[job.id]) for job in jobs],
        page=page,
        pages=paginator.num_pages,
        total=paginator.count,
    )


@router.get("/jobs/{uuid:job_id}", response={200: JobOut, 404: ErrorOut})
def show_job(request: HttpRequest, job_id: UUID) -> JobOut:
    """Show a job: its state, its photos counted by outcome, its rate and the time left."""
    return _shown(job_selectors.job_for(request.user, job_id))


@router.post("/jobs/{uuid:job_id}/cancel", response={200: JobOut, (404, 409): ErrorOut})
def cancel_job(request: HttpRequest, job_id: UUID) -> JobOut:
    """Stop an import or a retry at its next photo."""
    services.job_cancel(job=job_selectors.job_for(request.user, job_id))
    return _shown(job_selectors.job_for(request.user, job_id))


@router.post("/jobs/{uuid:job_id}/retry", response={202: RetryOut, 404: ErrorOut})
def retry_job(request: HttpRequest, job_id: UUID) -> Status[RetryOut]:
    """Send the job's failed and cancelled photos again, as a new job."""
    retried, warning = gallery_services.job_retry(job=job_selectors.job_for(request.user, job_id))
    return Status(202, RetryOut(job=_shown(retried) if retried else None, warning=warning))


def job_out(job: Job, progress: JobProgress) -> JobOut:
    """A job as the API and `manage.py jobs --json` show it."""
    return JobOut(
        id=job.id,
        kind=job.kind,
        state=job.state,
        gallery_id=job.gallery_id,
        gallery_name=job.gallery_name,
        total=job.total,
        counts=CountsOut.from_orm(progress),
        rate=progress.rate,
        seconds_left=progress.seconds_left,
        created=job.created,
        finished_at=job.finished_at,
    )


def _shown(job: Job) -> JobOut:
    return job_out(job, job_selectors.progress_of(job))

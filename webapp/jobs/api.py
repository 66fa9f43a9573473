"""The API of jobs. Requests that wait, and streams, hold no thread and no connection."""

from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import Query, Router, Status

from webapp.accounts.authentication import Needs, caller_now
from webapp.accounts.callers import Caller, Scope, caller_of
from webapp.gallery.models import Level
from webapp.gallery.selectors import gallery_for
from webapp.http.rest.cursors import Cursor, Limit, part_of
from webapp.http.schemas import ProblemOut, Seconds
from webapp.indexing import retrying
from webapp.jobs import selectors, services
from webapp.jobs.events import CONTENT_TYPE, JobEvents, events_answer
from webapp.jobs.models import Job
from webapp.jobs.schemas import JobOut, JobsOut, RetryOut, job_out
from webapp.jobs.watching import is_over, job_watch

router = Router(auth=Needs(Scope.READ), tags=["jobs"])
writing = Needs(Scope.WRITE)


class Until(StrEnum):
    OVER = "over"
    CHANGED = "changed"


Wait = Annotated[Seconds, Query(0, description="Seconds to hold the request while the job is running.")]
WaitUntil = Annotated[
    Until, Query(Until.OVER, description="What `wait` waits for: that the job is over, or that anything changes.")
]
OfState = Annotated[Job.State | None, Query(None, description="Only jobs in this state.")]
OfKind = Annotated[Job.Kind | None, Query(None, description="Only jobs of this kind.")]
InGallery = Annotated[UUID | None, Query(None, description="Only jobs of this gallery.")]

STREAM: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The stream. Its events are `progress` and at the end `over`, with the job as their data; "
            "`problem` when the job is gone or the caller may no longer see it. Lines that begin with a colon only "
            "keep it alive.",
            "content": {CONTENT_TYPE: {"schema": {"type": "string"}}},
        },
        204: {"description": "The `Last-Event-ID` is that of the end: there is nothing more to come."},
    }
}


@router.get("/jobs", response={200: JobsOut, (403, 404, 422): ProblemOut})
def list_jobs(
    request: HttpRequest,
    state: OfState = None,
    kind: OfKind = None,
    gallery_id: InGallery = None,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> JobsOut:
    """List the jobs of galleries that you may edit, newest first."""
    caller = caller_of(request)
    jobs = selectors.jobs_for(caller)
    if gallery_id is not None:
        jobs = jobs.filter(gallery=gallery_for(caller, gallery_id, Level.EDITOR))
    if state is not None:
        jobs = jobs.filter(state=state)
    if kind is not None:
        jobs = jobs.filter(kind=kind)
    part, next_cursor = part_of(jobs, order=("-created", "id"), cursor=cursor, limit=limit)
    progress = selectors.progress_of_each(part)
    return JobsOut(items=[job_out(job, progress[job.id]) for job in part], next_cursor=next_cursor)


@router.get("/jobs/{uuid:job_id}", response={200: JobOut, 404: ProblemOut})
async def show_job(request: HttpRequest, job_id: UUID, wait: Wait = 0, until: WaitUntil = Until.OVER) -> JobOut:
    """Show a job: its state, photo counts by outcome, rate and the time left."""
    caller = caller_of(request)
    job = await sync_to_async(_seen_by)(caller, job_id)
    if not wait or is_over(job):
        return job
    seconds = min(wait, settings.SEARCH_MAX_WAIT_SECONDS)
    await job_watch().wait(job, timeout_seconds=seconds, until_change=until == Until.CHANGED)
    # Who may see it is asked again: that, too, may have changed.
    return await sync_to_async(lambda: _seen_by(caller_now(request), job_id))()


@router.get("/jobs/{uuid:job_id}/events", response={204: None, (404, 429): ProblemOut}, openapi_extra=STREAM)
async def job_events(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """Follow a job as server-sent events: at once, then at most once a second when it has changed, until it is over."""
    caller = caller_of(request)
    job = await sync_to_async(_seen_by)(caller, job_id)
    if is_over(job) and request.headers.get("Last-Event-ID") == job.state:
        return HttpResponse(status=204)  # a browser connects again when a stream ends, unless it is told not to
    events = JobEvents(job, client=caller.client, check=lambda: _check_seen_by(caller_now(request), job_id))
    return events_answer(events)


@router.post("/jobs/{uuid:job_id}/cancel", response={200: JobOut, (404, 409): ProblemOut}, auth=writing)
def cancel_job(request: HttpRequest, job_id: UUID) -> JobOut:
    """Stop a running job before its next photo. Deletions and moves cannot be stopped."""
    caller = caller_of(request)
    services.job_cancel(job=selectors.job_for(caller, job_id))
    return _seen_by(caller, job_id)


@router.post("/jobs/{uuid:job_id}/close", response={200: JobOut, 404: ProblemOut}, auth=writing)
def close_job(request: HttpRequest, job_id: UUID) -> JobOut:
    """Say that no more photos will be added to an import, so that it ends with its last one. May be repeated."""
    caller = caller_of(request)
    services.import_close(job=selectors.job_for(caller, job_id))
    return _seen_by(caller, job_id)


@router.post("/jobs/{uuid:job_id}/retry", response={202: RetryOut, 404: ProblemOut}, auth=writing)
def retry_job(request: HttpRequest, job_id: UUID) -> Status[RetryOut]:
    """Send the job's cancelled photos, and the failed ones that may succeed now, again, as a new job."""
    caller = caller_of(request)
    retried, warning = retrying.job_retry(job=selectors.job_for(caller, job_id), requested_by_id=caller.user.pk)
    return Status(202, RetryOut(job=_seen_by(caller, retried.id) if retried else None, warning=warning))


def _seen_by(caller: Caller, job_id: UUID) -> JobOut:
    """Raises not_found."""
    job = selectors.job_for(caller, job_id)
    return job_out(job, selectors.progress_of(job))


def _check_seen_by(caller: Caller, job_id: UUID) -> None:
    """Raises not_found."""
    selectors.job_for(caller, job_id)

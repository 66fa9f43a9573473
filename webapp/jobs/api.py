"""The API of jobs."""

from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest
from ninja import Router, Status

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.http.schemas import Page, ProblemOut
from webapp.indexing import retrying
from webapp.jobs import selectors, services
from webapp.jobs.models import Job
from webapp.jobs.schemas import JobOut, JobPage, RetryOut, job_out

#: Jobs per page.
PAGE_SIZE = 100

router = Router(auth=Needs(Scope.READ), tags=["jobs"])
writing = Needs(Scope.WRITE)


@router.get("/jobs", response=JobPage)
def list_jobs(request: HttpRequest, page: Page = 1) -> JobPage:
    """List your jobs, newest first."""
    paginator = Paginator(selectors.jobs_for(caller_of(request)), PAGE_SIZE)
    jobs = list(paginator.page(page).object_list) if page <= paginator.num_pages else []
    progress = selectors.progress_of_each(jobs)
    return JobPage(
        jobs=[job_out(job, progress[job.id]) for job in jobs],
        page=page,
        pages=paginator.num_pages,
        total=paginator.count,
    )


@router.get("/jobs/{uuid:job_id}", response={200: JobOut, 404: ProblemOut})
def show_job(request: HttpRequest, job_id: UUID) -> JobOut:
    """Show a job: its state, photo counts by outcome, rate and the time left."""
    return _shown(selectors.job_for(caller_of(request), job_id))


@router.post("/jobs/{uuid:job_id}/cancel", response={200: JobOut, (404, 409): ProblemOut}, auth=writing)
def cancel_job(request: HttpRequest, job_id: UUID) -> JobOut:
    """Stop an import or a retry before its next photo."""
    services.job_cancel(job=selectors.job_for(caller_of(request), job_id))
    return _shown(selectors.job_for(caller_of(request), job_id))


@router.post("/jobs/{uuid:job_id}/retry", response={202: RetryOut, 404: ProblemOut}, auth=writing)
def retry_job(request: HttpRequest, job_id: UUID) -> Status[RetryOut]:
    """Send the job's failed and cancelled photos again, as a new job."""
    retried, warning = retrying.job_retry(job=selectors.job_for(caller_of(request), job_id))
    return Status(202, RetryOut(job=_shown(retried) if retried else None, warning=warning))


def _shown(job: Job) -> JobOut:
    return job_out(job, selectors.progress_of(job))

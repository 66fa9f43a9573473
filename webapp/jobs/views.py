"""The pages of jobs."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.callers import caller_of
from webapp.http.pages import STOP_POLLING, photos_text
from webapp.http.problems import Problem
from webapp.indexing.retrying import job_retry as retry
from webapp.jobs import selectors, services
from webapp.jobs.models import Job

#: Jobs per page.
PAGE_SIZE = 30
#: The most failed photos that are listed individually.
FAILURES_SHOWN = 50


@login_required
@require_safe
def job_list(request: HttpRequest) -> HttpResponse:
    page = Paginator(selectors.jobs_for(caller_of(request)), PAGE_SIZE).get_page(request.GET.get("page"))
    progress = selectors.progress_of_each(list(page))
    rows = [(job, progress[job.id]) for job in page]
    return render(request, "jobs/job_list.html", {"page": page, "rows": rows})


@login_required
@require_safe
def job_detail(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = selectors.job_for(caller_of(request), job_id)
    return render(request, "jobs/job_detail.html", _context(job))


@login_required
@require_safe
def job_progress(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Render the part of the job's page that changes; htmx polls it until the job is over."""
    job = selectors.job_for(caller_of(request), job_id)
    status = 200 if job.state == Job.State.RUNNING else STOP_POLLING
    return render(request, "jobs/_job.html", _context(job), status=status)


def _context(job: Job) -> dict[str, Any]:
    failed = selectors.failed_photos_of(job, most=FAILURES_SHOWN + 1)
    return {
        "job": job,
        "progress": selectors.progress_of(job),
        "is_running": job.state == Job.State.RUNNING,
        "can_cancel": job.state == Job.State.RUNNING and job.kind in Job.STOPPABLE,
        "failed": failed[:FAILURES_SHOWN],
        "has_more_failed": len(failed) > FAILURES_SHOWN,
    }


@login_required
@require_POST
def job_cancel(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = selectors.job_for(caller_of(request), job_id)
    try:
        count = services.job_cancel(job=job)
        messages.success(request, f"Cancelled; {photos_text(count)} still pending.")
    except Problem as problem:
        messages.error(request, problem.message)
    return redirect("job_detail", job.id)


@login_required
@require_POST
def job_retry(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Send the cancelled photos, and the failed ones that may succeed, again and show the new job."""
    job = selectors.job_for(caller_of(request), job_id)
    retried, warning = retry(job=job, requested_by_id=caller_of(request).user.pk)
    if warning:
        messages.warning(request, warning)
    if retried is None:
        messages.info(request, "This job has no photo that may succeed if it is tried again.")
        return redirect("job_detail", job.id)
    messages.success(request, f"{photos_text(retried.total)} sent again.")
    return redirect("job_detail", retried.id)

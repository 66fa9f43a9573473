"""`manage.py jobs`: list and show jobs with their progress; cancel and retry them."""

import argparse
import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.http.commands import expected_failures
from webapp.http.pages import photos_text
from webapp.http.wording.durations import pace, time_left
from webapp.indexing import retrying
from webapp.jobs import selectors, services
from webapp.jobs.models import Job
from webapp.jobs.schemas import job_out

#: How many of the newest jobs are listed.
JOBS_SHOWN = 20
#: How many failed photos of a job are shown.
FAILURES_SHOWN = 10


class Command(BaseCommand):
    help = "List the newest jobs of all users, show one, cancel one, or try again its photos that may succeed then."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        actions = parser.add_subparsers(dest="action", metavar="list | show | cancel | retry")
        listing = actions.add_parser("list", help="list the newest jobs (the default)")
        show = actions.add_parser("show", help="show a job and its failed photos")
        cancel = actions.add_parser("cancel", help="stop a job before its next photo, unless it deletes or moves")
        retry = actions.add_parser("retry", help="try a job's cancelled photos again, and failed ones that may succeed")
        for action in (show, cancel, retry):
            action.add_argument("job_id", metavar="JOB", type=UUID)
        for action in (listing, show, cancel, retry):
            # Suppressed, so that `jobs --json list` means the same as `jobs list --json`.
            action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with expected_failures():
            match options["action"]:
                case "show":
                    self._show(_job(options["job_id"]), as_json=options["json"])
                case "cancel":
                    self._cancel(_job(options["job_id"]), as_json=options["json"])
                case "retry":
                    self._retry(_job(options["job_id"]), as_json=options["json"])
                case _:
                    self._list(as_json=options["json"])

    def _list(self, *, as_json: bool) -> None:
        jobs = list(Job.objects.select_related("requested_by")[:JOBS_SHOWN])
        progress = selectors.progress_of_each(jobs)
        if as_json:
            self._dump([_as_json(job) for job in jobs])
        elif not jobs:
            self.stdout.write("No jobs yet.")
        else:
            for job in jobs:
                done = f"{progress[job.id].done}/{job.total}"
                self.stdout.write(f"{job.id}  {job.created:%Y-%m-%d %H:%M}  {job.state:<9}  {done:>13}  {job}")

    def _show(self, job: Job, *, as_json: bool) -> None:
        failed = selectors.failed_photos_of(job)
        if as_json:
            rows = [{"photo": photo.filename, "code": photo.code, "message": photo.message} for photo in failed]
            self._dump(_as_json(job) | {"failed_photos": rows})
            return
        shown = _as_json(job)
        counts = ", ".join(f"{count} {name}" for name, count in shown["counts"].items() if count)
        self.stdout.write(f"Job {job.id}: {job}, {job.state}, {job.total} photos: {counts}.")
        if shown["rate"]:
            left = time_left(shown["seconds_left"])
            self.stdout.write(f"{pace(shown['rate'])}{', ' if left else ''}{left}.")
        for photo in failed[:FAILURES_SHOWN]:
            self.stdout.write(f"  {photo.filename}: {photo.message} ({photo.code})")
        if shown["counts"]["failed"] > FAILURES_SHOWN:
            self.stdout.write(f"  and {shown['counts']['failed'] - FAILURES_SHOWN} more")

    def _cancel(self, job: Job, *, as_json: bool) -> None:
        count = services.job_cancel(job=job)
        if as_json:
            self._dump(_as_json(_job(job.id)))
        else:
            self.stdout.write(f"Cancelled; {photos_text(count)} still pending.")

    def _retry(self, job: Job, *, as_json: bool) -> None:
        retried, warning = retrying.job_retry(job=job)
        if retried is None:
            raise CommandError("This job has no photo that may succeed if it is tried again.")
        if as_json:
            self._dump(_as_json(retried) | {"warning": warning})
        else:
            self.stdout.write(f"{retried.total} photos sent again, as job {retried.id}. {warning}".rstrip())

    def _dump(self, value: Any) -> None:
        self.stdout.write(json.dumps(value))


def _job(job_id: UUID) -> Job:
    job = Job.objects.filter(id=job_id).select_related("gallery", "requested_by").first()
    if job is None:
        raise CommandError("There is no such job.")
    return job


def _as_json(job: Job) -> dict[str, Any]:
    return job_out(job, selectors.progress_of(job)).model_dump(mode="json")

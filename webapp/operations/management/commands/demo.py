"""`manage.py demo`: the whole service with a sample gallery, searched once, in front of your eyes."""

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

from tasks.health.checks import HealthReport
from tasks.messages.search import SearchResult
from tasks.web.search_client import open_search_client
from webapp.gallery import selectors, services
from webapp.gallery.models import Gallery, Photo
from webapp.generations.selectors import ActiveTarget
from webapp.indexing import adding
from webapp.operations import local, samples

START_TIMEOUT_SECONDS: Final = 120.0
INDEX_TIMEOUT_SECONDS: Final = 120.0
STOP_TIMEOUT_SECONDS: Final = 40.0
USERNAME: Final = "demo"
GALLERY: Final = "Samples"


class Command(BaseCommand):
    help = (
        "Start every process, index a sample gallery of pictures that come with installed packages, search it with "
        "a changed portrait, print the matches, and stay up until Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="stop everything after the table; exit 0 only if the search was right"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        log_path: Path = settings.DATA_DIR / "demo.log"
        # A kill of this command must stop the service as Ctrl-C does.
        signal.signal(signal.SIGTERM, _interrupt)
        service = _start_service(log_path)
        try:
            found = self._show(service, log_path)
            if not options["once"]:
                self.stdout.write("Everything is running. Ctrl-C stops it.")
                self.stdout.flush()
                service.wait()
                raise CommandError(f"The service stopped by itself; {log_path} says why.")
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
        self.stdout.write(f"Starting Redis, Milvus, web and workers (log: {log_path}) ...")
        self.stdout.flush()
        report = _wait_until_healthy(service, log_path)
        gallery, password = _sample_gallery()
        self.stdout.write("Indexing the sample pictures ...")
        self.stdout.flush()
        _wait_until_indexed(gallery, service, log_path)
        result = asyncio.run(_search(gallery))
        found = self._print_matches(gallery, result)
        warning = next((worker.warning for worker in report.workers if worker.warning), "")
        self.stdout.write(
            f"\nPages:  http://127.0.0.1:{settings.PORTS.web}/   log in as {USERNAME!r} with password {password!r}\n"
            f"Flower: http://127.0.0.1:{settings.PORTS.flower}/   log in as {local.FLOWER_USER!r} with password "
            f"{local.flower_password(settings.DATA_DIR)!r}\n"
            f"{'Note:   ' + warning if warning else ''}"
        )
        self.stdout.flush()
        return found

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
    """Start `manage.py up` as a process group of its own, with its output in a file."""
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
    """Stop the service and all that it started; return the names of processes that would not go."""
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


def _wait_for(ready: Callable[[], bool], service: subprocess.Popen[bytes], log_path: Path, seconds: float) -> bool:
    """Ask until `ready` says yes; False when the time is up. A service that ended is an error at once."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if service.poll() is not None:
            raise CommandError(f"The service stopped while starting; {log_path} says why.")
        if ready():
            return True
        time.sleep(0.5)
    return False


def _wait_until_healthy(service: subprocess.Popen[bytes], log_path: Path) -> HealthReport:
    reports: list[HealthReport] = []

    def healthy() -> bool:
        reports.append(asyncio.run(_health()))
        return reports[-1].is_healthy

    if not _wait_for(healthy, service, log_path, START_TIMEOUT_SECONDS):
        raise CommandError(f"The service is not healthy: {' '.join(reports[-1].problems)} {log_path} says more.")
    return reports[-1]


async def _health() -> HealthReport:
    async with open_search_client(active_target=ActiveTarget()) as service:
        return await service.health_check()


def _sample_gallery() -> tuple[Gallery, str]:
    """Make the demo user with a fresh password, and its gallery with the sample pictures."""
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


def _wait_until_indexed(gallery: Gallery, service: subprocess.Popen[bytes], log_path: Path) -> None:
    def indexed() -> bool:
        return not Photo.objects.filter(gallery=gallery, state=Photo.State.PENDING).exists()

    if not _wait_for(indexed, service, log_path, INDEX_TIMEOUT_SECONDS):
        raise CommandError(f"The sample pictures were not indexed in time; {log_path} says why.")


async def _search(gallery: Gallery) -> SearchResult:
    async with open_search_client(active_target=ActiveTarget()) as service:
        return await service.search_faces_in_image(
            samples.portrait_query(), gallery_ids=(str(gallery.id),), limit=5, min_similarity=-1.0
        )

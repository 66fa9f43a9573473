"""Fixtures of the Django side. No Redis: the boundary, tasks.web.search_client, is replaced by recorders."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from tasks.errors import QueueUnavailable
from tasks.health.checks import HealthReport
from tasks.health.findings import Finding
from tasks.health.reports import WorkerReport
from tasks.messages.base import BoxInfo, Target
from tasks.messages.indexing import FaceInfo, PhotoOutcomeInfo, PhotoRef
from tasks.messages.search import SearchResult
from tasks.web import bulk as tasks_client
from tasks.web import queue_progress
from webapp.gallery import services
from webapp.gallery.models import Gallery, Photo
from webapp.generations import gates, overview
from webapp.indexing import adding, dispatch, recording


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file, not memory: the tests of races use several connections."""
    from django.db import connections

    if connections["default"].vendor == "sqlite":
        path = tmp_path_factory.mktemp("database") / "test.sqlite3"
        connections["default"].settings_dict["TEST"]["NAME"] = str(path)


@pytest.fixture(autouse=True)
def quick_and_temporary(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "photos"
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@dataclass
class FakeQueue:
    """Records what would be sent; with `is_down` it fails as Redis would."""

    indexed: list[tuple[str, list[PhotoRef]]] = field(default_factory=list)
    removed: list[tuple[str, list[str]]] = field(default_factory=list)
    length: int = 0
    #: While it is not empty: what was sent before this time.time() has left it.
    left: float = 0.0
    is_down: bool = False
    #: The collection and the queue of each index message, and the collections of each removal.
    index_targets: list[tuple[str, str]] = field(default_factory=list)
    removal_targets: list[list[str]] = field(default_factory=list)

    def enqueue_index(self, *, target: Target, gallery_id: str, photos: Sequence[PhotoRef], queue: str) -> None:
        self._check()
        self.indexed.append((gallery_id, list(photos)))
        self.index_targets.append((target.collection, queue))

    def enqueue_removal(self, *, targets: Sequence[Target], gallery_id: str, photo_ids: Sequence[str]) -> None:
        self._check()
        self.removed.append((gallery_id, list(photo_ids)))
        self.removal_targets.append([target.collection for target in targets])

    def index_queue_length(self) -> int:
        self._check()
        return self.length

    def left_index_queue(self, seconds: float) -> float:
        self._check()
        return self.left if self.length else time.time() - seconds

    def _check(self) -> None:
        if self.is_down:
            raise QueueUnavailable("The queue does not answer.")

    @property
    def indexed_ids(self) -> list[str]:
        return [photo.photo_id for _, photos in self.indexed for photo in photos]

    @property
    def removed_ids(self) -> list[str]:
        return [photo_id for _, photo_ids in self.removed for photo_id in photo_ids]


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> FakeQueue:
    fake = FakeQueue()
    for name in ("enqueue_index", "enqueue_removal"):
        monkeypatch.setattr(tasks_client, name, getattr(fake, name))
    monkeypatch.setattr(dispatch, "index_queue_length", fake.index_queue_length)
    monkeypatch.setattr(queue_progress, "left_queue", lambda queue, seconds: fake.left_index_queue(seconds))
    return fake


@dataclass
class FakeFaceSearch:
    """Answers every search with `result`; None is a search that nobody has answered yet."""

    result: SearchResult | None = None
    is_down: bool = False
    is_healthy: bool = True
    started: list[dict[str, Any]] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def start_search(self, image: bytes, **options: Any) -> str:
        self._check()
        self.started.append({"image": image, **options})
        return str(uuid.uuid4())

    async def wait_for_search(self, job_id: str, *, timeout_seconds: float) -> SearchResult | None:
        self._check()
        self.waited.append(timeout_seconds)
        return self.result

    async def cancel_search(self, job_id: str) -> None:
        self.cancelled.append(job_id)

    async def search_faces_in_image(self, image: bytes, **options: Any) -> SearchResult:
        await self.start_search(image, **options)
        assert self.result is not None
        return self.result

    async def health_check(self) -> HealthReport:
        remedy = "" if self.is_healthy else "No healthy worker consumes the queue search.starter."
        finding = Finding(name="workers", ok=self.is_healthy, detail="of search", remedy=remedy, is_critical=True)
        return HealthReport(
            connection_status="connected" if self.is_healthy else "disconnected",
            collection_status="loaded",
            findings=(finding,),
        )

    async def __aenter__(self) -> "FakeFaceSearch":
        self._check()
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def _check(self) -> None:
        if self.is_down:
            raise QueueUnavailable("The queue does not answer.")


@pytest.fixture
def face_search(monkeypatch: pytest.MonkeyPatch) -> FakeFaceSearch:
    fake = FakeFaceSearch()
    monkeypatch.setattr("webapp.search.services.search_client", lambda: fake)
    monkeypatch.setattr("webapp.operations.health.search_client", lambda: fake)
    return fake


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[WorkerReport]:
    """What workers say of themselves, as long as nobody adds any: nothing. Nothing is published for them either."""
    found: list[WorkerReport] = []
    for module in (gates, overview):
        monkeypatch.setattr(module, "published_reports", lambda: tuple(found))
    monkeypatch.setattr("tasks.live_targets.publish", lambda _: None)
    return found


def report_of(pack: str, *roles: str, fingerprint: str = "f" * 64, is_healthy: bool = True) -> WorkerReport:
    queues = tuple(f"{role}.{pack}" for role in roles or ("search", "index", "reindex"))
    return WorkerReport(
        name=f"{pack}@here", pid=1, queues=queues, is_healthy=is_healthy, pack=pack, fingerprint=fingerprint
    )


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada", password="lovelace")


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("eve", password="eve")


@pytest.fixture
def gallery(user: User) -> Gallery:
    return services.gallery_create(owner=user, name="Friends")


@pytest.fixture
def their_gallery(stranger: User) -> Gallery:
    return services.gallery_create(owner=stranger, name="Secrets")


def upload(content: bytes = b"picture", name: str = "ada.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def add_photo(gallery: Gallery, content: bytes = b"picture", name: str = "ada.jpg") -> Photo:
    """Add a photo as an upload does; it is pending."""
    (photo,) = adding.photos_add(gallery=gallery, files=[upload(content, name)]).added
    return photo


def face_info(face_id: str | None = None, *, left: float = 10.5) -> FaceInfo:
    return FaceInfo(
        face_id=face_id or str(uuid.uuid4()),
        box=BoxInfo(left=left, top=20, right=left + 30, bottom=60),
        landmarks=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10)),
        score=0.9,
        quality=0.7,
    )


def indexed(photo: Photo, *faces: FaceInfo) -> PhotoOutcomeInfo:
    return PhotoOutcomeInfo(
        photo_id=str(photo.id),
        state="indexed" if faces else "no_faces",
        width=640,
        height=480,
        image_format="JPEG",
        faces=faces,
    )


def failed(photo: Photo, code: str = "not_an_image") -> PhotoOutcomeInfo:
    return PhotoOutcomeInfo(photo_id=str(photo.id), state="failed", code=code, message="This file is not a picture.")


def add_indexed_photo(gallery: Gallery, *faces: FaceInfo, content: bytes = b"picture", name: str = "ada.jpg") -> Photo:
    photo = add_photo(gallery, content, name)
    recording.outcomes_record(gallery_id=gallery.id, outcomes=[indexed(photo, *(faces or (face_info(),)))])
    photo.refresh_from_db()
    return photo

"""Fixtures of the Django side. No Redis: the work queue and the search client are those in memory."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from tasks import queues
from tasks.health.reports import WorkerReport
from tasks.messages.base import BoxInfo, Target
from tasks.messages.generations import DropRequest
from tasks.messages.indexing import FaceInfo, IndexRequest, PhotoOutcomeInfo, PhotoRef, RemoveRequest
from tasks.queues import Priority
from tasks.storage.photo_files import RenditionKind, digest_of, rendition_save
from tasks.web.memory import MemorySearchClient, MemoryWorkQueue, SentMessage
from tasks.web.search_client import set_search_client
from tasks.work_queue import use_work_queue
from tests.addresses import turn_on
from webapp.gallery import services
from webapp.gallery.models import Gallery, Photo
from webapp.generations.selectors import active_generation
from webapp.indexing import adding, recording

__all__ = ["turn_on"]


@pytest.fixture(autouse=True)
def quick_and_temporary(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "photos"
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


class WatchedQueue(MemoryWorkQueue):
    """A queue with idle workers, until a test lets messages wait; with views of what was sent."""

    def __init__(self) -> None:
        super().__init__(are_workers_idle=True)

    @property
    def indexed(self) -> list[tuple[str, list[PhotoRef]]]:
        return [(request.gallery_id, list(request.photos)) for request in self.messages(IndexRequest)]

    @property
    def indexed_ids(self) -> list[str]:
        return [photo.photo_id for _, photos in self.indexed for photo in photos]

    @property
    def index_targets(self) -> list[tuple[str, str]]:
        """The collection and the queue of each index message."""
        requests = [(each.message, each.queue) for each in self.sent]
        return [(request.target.collection, queue) for request, queue in requests if isinstance(request, IndexRequest)]

    @property
    def removed(self) -> list[tuple[str, list[str]]]:
        return [(request.gallery_id, list(request.photo_ids)) for request in self.messages(RemoveRequest)]

    @property
    def removed_ids(self) -> list[str]:
        return [photo_id for _, photo_ids in self.removed for photo_id in photo_ids]

    @property
    def removal_targets(self) -> list[list[str]]:
        """The collections of each removal."""
        return [[target.collection for target in request.targets] for request in self.messages(RemoveRequest)]

    def forget(self) -> None:
        """Forget the photos sent so far."""
        self.sent = [each for each in self.sent if not isinstance(each.message, IndexRequest | RemoveRequest)]

    def have_waiting(
        self,
        count: int,
        *,
        queue: str = "index.dlib",
        sent_at: float = 0.0,
        priority: Priority = Priority.NORMAL,
    ) -> None:
        """Let `count` unrelated messages wait in the queue, and every message sent from now on behind them.

        With a `count` of 0 the workers are idle again.
        """
        while self.take(queue):
            pass
        self.are_workers_idle = count == 0
        for _ in range(count):
            other = DropRequest(target=Target(pack="dlib", collection="of_others"))
            self.sent.append(SentMessage(queue=queue, message=other, sent_at=sent_at, priority=priority))


@pytest.fixture(autouse=True)
def queue() -> Iterator[WatchedQueue]:
    queue = WatchedQueue()
    with use_work_queue(queue):
        yield queue


@pytest.fixture
def reports(queue: WatchedQueue) -> list[WorkerReport]:
    """The workers' reports: none, until a test adds some."""
    return queue.reports


@pytest.fixture
def face_search() -> Iterator[MemorySearchClient]:
    """The process' search client, for a service with healthy workers."""
    client = MemorySearchClient()
    healthy = WorkerReport(
        name="all@here",
        pid=1,
        queues=(*queues.gpu_queues("dlib"), queues.RECORDS),
        is_healthy=True,
        pack="dlib",
        connection_status="connected",
        collection_status="loaded",
    )
    client.reports.append(healthy)
    set_search_client(client)
    yield client
    set_search_client(None)


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


def record(gallery: Gallery, *outcomes: PhotoOutcomeInfo) -> None:
    """Record outcomes in the active generation."""
    collection = active_generation().collection
    recording.outcomes_record(gallery_id=gallery.id, outcomes=outcomes, collection=collection)


def rendered(outcome: PhotoOutcomeInfo) -> PhotoOutcomeInfo:
    """Store renditions of the photo and its faces as a worker does; return the outcome that names them."""

    def saved(kind: RenditionKind, content: bytes, digest: str = "") -> str:
        digest = digest or digest_of(content)
        rendition_save(outcome.photo_id, kind, digest, content)
        return digest

    renditions = saved("thumbnail", b"thumbnail")
    saved("preview", b"preview", renditions)
    faces = tuple(face.model_copy(update={"crop": saved("face", face.face_id.encode())}) for face in outcome.faces)
    return outcome.model_copy(update={"renditions": renditions, "faces": faces})


def add_indexed_photo(gallery: Gallery, *faces: FaceInfo, content: bytes = b"picture", name: str = "ada.jpg") -> Photo:
    """Add a photo with faces, one unless they are given, and with its renditions."""
    photo = add_photo(gallery, content, name)
    record(gallery, rendered(indexed(photo, *(faces or (face_info(),)))))
    photo.refresh_from_db()
    return photo

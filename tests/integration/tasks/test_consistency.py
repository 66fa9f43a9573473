"""A consistency check from end to end: the database, the tasks of both sides, and a collection on Milvus Lite."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tasks.messages.consistency import Checked, CheckRequest
from tasks.messages.indexing import RemoveRequest
from tasks.queues import RECORDS
from tasks.web.memory import MemoryWorkQueue
from tasks.work_queue import use_work_queue
from tasks.worker import consistency as tasks_checking
from tests.servers import embedded_milvus
from webapp.gallery.models import Face, Gallery, Photo
from webapp.generations.models import Check, Entry
from webapp.generations.selectors import active_generation, missing_photos
from webapp.indexing import consistency
from worker.canary import CANARY_GALLERY_ID
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.interfaces import FaceRecord

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

DIMENSION = 8


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VectorSearchService]:
    with embedded_milvus(tmp_path) as (uri, _process):
        service = VectorSearchService(
            milvus=MilvusConfig(uri=uri),
            collection=CollectionConfig(name="faces_dlib"),
            performance=PerformanceConfig(),
            dimension=DIMENSION,
            fingerprint="f" * 64,
        )
        with closing(service):
            service.open()
            yield service


@pytest.fixture
def run(store: VectorSearchService, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs a check to its end, message by message, and returns it with what was to be removed."""
    queue = MemoryWorkQueue()
    monkeypatch.setattr(tasks_checking.state, "_indexes", SimpleNamespace(store=lambda target: store))

    def run(*, is_repair: bool) -> tuple[Check, list[tuple[str, list[str]]]]:
        queue.sent.clear()
        consistency.check_start(generation=active_generation(), actor="ada", is_repair=is_repair)
        consistency.checks_send_again()
        while message := queue.take("reindex.dlib") or queue.take(RECORDS):
            if isinstance(message, Checked):
                consistency.check_record(checked=message)
            else:
                task = tasks_checking.check_faces if isinstance(message, CheckRequest) else tasks_checking.find_strays
                assert task.apply(kwargs={"message": message.to_json()}).state == "SUCCESS"
        removed = [(request.gallery_id, list(request.photo_ids)) for request in queue.messages(RemoveRequest)]
        return Check.objects.get(), removed

    with use_work_queue(queue):
        yield run


def add_photo(gallery: Gallery, number: int) -> Face:
    """Add a photo with one face that has long been indexed."""
    photo = Photo.objects.create(
        gallery=gallery, filename="a.jpg", file="a", sha256=str(number), byte_size=1, state=Photo.State.INDEXED
    )
    long_ago = timezone.now() - timedelta(hours=1)
    Entry.objects.create(generation=active_generation(), photo=photo, state=Entry.State.INDEXED, settled_at=long_ago)
    face = Face.objects.create(
        id=uuid.uuid4(), photo=photo, left=0, top=0, right=1, bottom=1, score=1, quality=1, landmarks=[]
    )
    face.generations.add(active_generation())
    return face


def record(face_id: Any, photo_id: Any, gallery_id: Any) -> FaceRecord:
    embedding = np.eye(1, DIMENSION, dtype=np.float32)[0]
    return FaceRecord(face_id=str(face_id), photo_id=str(photo_id), gallery_id=str(gallery_id), embedding=embedding)


def test_what_differs_is_found_and_after_the_repair_nothing_does(
    store: VectorSearchService, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consistency, "RANGE_PHOTOS", 3)
    gallery = Gallery.objects.create(owner=User.objects.create_user("ada"), name="Friends")
    faces = [add_photo(gallery, number) for number in range(10)]
    lacking, doubtful = faces[4], faces[7]
    stale, gone, stray = (uuid.uuid4() for _ in range(3))
    gone_photo, stray_photo, unknown_gallery = (uuid.uuid4() for _ in range(3))
    store.upsert(
        [
            *(record(face.id, face.photo_id, gallery.id) for face in faces if face != lacking),
            record(stale, doubtful.photo_id, gallery.id),
            record(gone, gone_photo, gallery.id),
            record(stray, stray_photo, unknown_gallery),
            record(uuid.uuid4(), uuid.uuid4(), CANARY_GALLERY_ID),
        ]
    )

    check, removed = run(is_repair=False)

    assert check.missing == [str(lacking.id)]
    assert set(check.orphaned) == {str(stale), str(gone), str(stray)}
    assert (check.duplicated_count, removed, list(missing_photos(active_generation()))) == (0, [], [])

    check, removed = run(is_repair=True)

    assert sorted(removed) == sorted([(str(gallery.id), [str(gone_photo)]), (str(unknown_gallery), [str(stray_photo)])])
    assert {photo.id for photo in missing_photos(active_generation())} == {lacking.photo_id, doubtful.photo_id}

    # What workers then do.
    for gallery_id, photo_ids in removed:
        store.delete_photos(gallery_id=gallery_id, photo_ids=photo_ids)
    for face in (lacking, doubtful):
        store.upsert([record(face.id, face.photo_id, gallery.id)])
        store.delete_stale_faces(gallery_id=str(gallery.id), kept={str(face.photo_id): [str(face.id)]})
        long_ago = timezone.now() - timedelta(hours=1)
        Entry.objects.create(
            generation=active_generation(), photo=face.photo, state=Entry.State.INDEXED, settled_at=long_ago
        )
    check, removed = run(is_repair=False)
    assert check.finished_at
    assert (check.face_count, check.missing_count, check.orphaned_count, removed) == (10, 0, 0, [])

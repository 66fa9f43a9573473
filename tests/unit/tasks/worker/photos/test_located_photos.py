"""Two packs that share a detector: what the one has found travels to the other as JSON, and nothing looks again."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.messages.base import Target
from tasks.messages.indexing import IndexRequest, KnownFace, Outcomes, PhotoOutcomeInfo, PhotoRef
from tasks.queues import RECORDS
from tasks.web.memory import MemoryWorkQueue
from tasks.work_queue import use_work_queue
from tasks.worker.niceness import Pauses
from tasks.worker.photos import indexing
from tasks.worker.starts import Verdict
from tests import pictures
from tests.packs import dlib_config
from worker.face_index import FaceIndex
from worker.gates import Gate
from worker.recognition.engine import FaceEngine
from worker.vector_search.memory import InMemoryVectorStore

GALLERY, PHOTO = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
KEY = "six.jpg"
NOTHING = SimpleNamespace(among=lambda _: set())  # is withdrawn

#: Runs the index task on a photo with that FaceIndex.
Run = Callable[[FaceIndex, PhotoRef], PhotoOutcomeInfo]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Iterator[Run]:
    settings.MEDIA_ROOT = tmp_path
    default_storage.save(KEY, ContentFile(pictures.sample_bytes("six_people")))
    queue = MemoryWorkQueue()

    def run(faces: FaceIndex, photo: PhotoRef) -> PhotoOutcomeInfo:
        state = SimpleNamespace(
            indexes=SimpleNamespace(index=lambda _: faces),
            starts=SimpleNamespace(running=lambda *_: nullcontext(Verdict.NEW)),
            withdrawn=NOTHING,
            company=Gate(9),
            pauses=lambda: Pauses(bool),
        )
        monkeypatch.setattr(indexing, "state", state)
        request = IndexRequest(target=Target(pack="p", collection="c"), gallery_id=GALLERY, photos=(photo,))
        assert indexing.index_photos.apply(kwargs={"message": request.to_json()}).state == "SUCCESS"
        answer = queue.take(RECORDS)
        assert isinstance(answer, Outcomes)
        [outcome] = answer.outcomes
        return outcome

    with use_work_queue(queue):
        yield run


def opened(pack: str) -> FaceIndex:
    engine = FaceEngine(dlib_config(pack=pack))
    engine.open()
    store = InMemoryVectorStore(name=pack, dimension=engine.pack.dimension, fingerprint=engine.pack.fingerprint)
    faces = FaceIndex(engine, store)
    faces.open()
    return faces


@pytest.fixture(scope="module")
def mirrored() -> Iterator[FaceIndex]:
    faces = opened("dlib")
    yield faces
    faces.close()


@pytest.fixture(scope="module")
def plain() -> Iterator[FaceIndex]:
    faces = opened("dlib-plain")
    yield faces
    faces.close()


def located(outcome: PhotoOutcomeInfo) -> PhotoRef:
    """Refer to a photo as the database would after this outcome."""
    known = tuple(KnownFace(**face.model_dump(exclude={"quality"})) for face in outcome.faces)
    ref = PhotoRef(photo_id=PHOTO, storage_key=KEY, known_faces=known, detector=outcome.detector)
    return PhotoRef.model_validate_json(ref.model_dump_json())


def embeddings(faces: FaceIndex, outcome: PhotoOutcomeInfo) -> np.ndarray[Any, Any]:
    found = faces._store.fetch([face.face_id for face in outcome.faces])
    return np.stack([found[face.face_id] for face in outcome.faces])


def test_the_other_pack_describes_what_the_first_has_found_and_its_detector_does_not_run(
    run: Run, mirrored: FaceIndex, plain: FaceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(mirrored, PhotoRef(photo_id=PHOTO, storage_key=KEY))
    looked = run(plain, PhotoRef(photo_id=PHOTO, storage_key=KEY))
    wanted = embeddings(plain, looked)
    monkeypatch.setattr(plain.pack.detector, "detect", None)

    described = run(plain, located(first))

    assert len(first.faces) == 6
    assert described == looked
    assert [face.face_id for face in described.faces] == [face.face_id for face in first.faces]
    assert float(np.sum(embeddings(plain, described) * wanted, axis=1).min()) > 0.9999


def test_a_worker_with_another_detector_looks_for_itself(run: Run, mirrored: FaceIndex, plain: FaceIndex) -> None:
    first = run(mirrored, PhotoRef(photo_id=PHOTO, storage_key=KEY))
    [one, *_] = first.faces
    others = first.model_copy(update={"faces": (one,), "detector": "0" * 64})

    outcome = run(plain, located(others))

    assert len(outcome.faces) == 6
    assert outcome.detector == plain.pack.detector_fingerprint == first.detector
    assert one.face_id in {face.face_id for face in outcome.faces}


def test_a_photo_of_which_no_face_is_known_is_looked_at(run: Run, plain: FaceIndex) -> None:
    detector = plain.pack.detector_fingerprint

    assert len(run(plain, PhotoRef(photo_id=PHOTO, storage_key=KEY, detector=detector)).faces) == 6

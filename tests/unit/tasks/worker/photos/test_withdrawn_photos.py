"""Photos that nobody wants any more are neither read nor reported."""

import uuid
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.messages.base import Target
from tasks.messages.indexing import IndexRequest, Outcomes, PhotoRef
from tasks.web.memory import MemoryWorkQueue
from tasks.web.withdrawn import Withdrawn
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

GALLERY, JOB = str(uuid.uuid4()), str(uuid.uuid4())
PHOTOS = [str(uuid.UUID(int=number)) for number in range(1, 5)]


class Watched:
    """What was withdrawn: `ids` before the task, `later` once it has read some photos."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.later: set[str] = set()
        self.read_until_then = 0
        self.asked: list[str] = []

    def among(self, ids: Collection[str]) -> set[str]:
        if len(ids) == 3:  # one photo, about to be read
            self.asked.append(list(ids)[2])
            if len(self.asked) > self.read_until_then:
                self.ids |= self.later
        return self.ids & set(ids)


@pytest.fixture
def withdrawn() -> Watched:
    return Watched()


@pytest.fixture
def queue() -> Iterator[MemoryWorkQueue]:
    queue = MemoryWorkQueue()
    with use_work_queue(queue):
        yield queue


@pytest.fixture(scope="module")
def faces() -> Iterator[FaceIndex]:
    engine = FaceEngine(dlib_config(decode_threads=1))
    engine.open()
    store = InMemoryVectorStore(name="f", dimension=engine.pack.dimension, fingerprint=engine.pack.fingerprint)
    faces = FaceIndex(engine, store)
    faces.open()
    yield faces
    faces.close()


@pytest.fixture
def opened_targets(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path, faces: FaceIndex, withdrawn: Watched
) -> list[Target]:
    """The targets that the worker has opened, which is the first thing that costs anything."""
    settings.MEDIA_ROOT = tmp_path
    for photo_id in PHOTOS:
        default_storage.save(photo_id, ContentFile(pictures.sample_bytes("astronaut")))
    opened: list[Target] = []

    def index(target: Target) -> FaceIndex:
        opened.append(target)
        return faces

    state = SimpleNamespace(
        indexes=SimpleNamespace(index=index),
        starts=SimpleNamespace(running=lambda *_: nullcontext(Verdict.NEW)),
        withdrawn=withdrawn,
        company=Gate(9),
        pauses=lambda: Pauses(bool),
    )
    monkeypatch.setattr(indexing, "state", state)
    return opened


def run() -> None:
    photos = tuple(PhotoRef(photo_id=each, storage_key=each, job_id=JOB) for each in PHOTOS)
    request = IndexRequest(target=Target(pack="p", collection="c"), gallery_id=GALLERY, photos=photos)
    assert indexing.index_photos.apply(kwargs={"message": request.to_json()}).state == "SUCCESS"


def reported(queue: MemoryWorkQueue) -> list[str]:
    return [outcome.photo_id for answer in queue.messages(Outcomes) for outcome in answer.outcomes]


@pytest.mark.parametrize("of", [pytest.param(JOB, id="their job"), pytest.param(GALLERY, id="their gallery")])
def test_a_message_whose_photos_are_all_withdrawn_costs_nothing(
    withdrawn: Watched, queue: MemoryWorkQueue, opened_targets: list[Target], of: str
) -> None:
    withdrawn.ids = {of}
    run()
    assert (opened_targets, withdrawn.asked, queue.sent) == ([], [], [])


def test_a_withdrawn_photo_is_left_out_and_the_others_are_indexed(
    withdrawn: Watched, queue: MemoryWorkQueue, opened_targets: list[Target]
) -> None:
    withdrawn.ids = {PHOTOS[1]}
    run()
    assert reported(queue) == withdrawn.asked == [PHOTOS[0], PHOTOS[2], PHOTOS[3]]


def test_photos_withdrawn_while_the_task_runs_are_not_read_from_then_on(
    withdrawn: Watched, queue: MemoryWorkQueue, opened_targets: list[Target], faces: FaceIndex
) -> None:
    withdrawn.later, withdrawn.read_until_then = {JOB}, 2
    run()
    assert reported(queue) == PHOTOS[:2]


def test_when_all_are_withdrawn_at_the_last_moment_there_is_no_report(
    withdrawn: Watched, queue: MemoryWorkQueue, opened_targets: list[Target]
) -> None:
    withdrawn.later = {JOB}
    run()
    assert (len(opened_targets), queue.sent) == (1, [])


def test_without_redis_cache_nothing_counts_as_withdrawn() -> None:
    with redis.Redis(port=1, socket_connect_timeout=1) as cache:
        assert Withdrawn(cache).among(["job"]) == set()

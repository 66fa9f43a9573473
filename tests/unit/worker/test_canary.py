"""The known face: put into the store once, found again and again, never mixed up with what users have."""

import uuid
from collections.abc import Sequence
from importlib.resources import files
from typing import cast

import numpy as np
import pytest

from tests.packs import dlib_config
from worker.bulk import PhotoToIndex
from worker.canary import CANARY_GALLERY_ID, find_known_face
from worker.errors import CanaryLost
from worker.face_index import FaceIndex
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import AlignedFace, DetectedFaces, Engine, Face, Image, Reduction
from worker.vector_search.exceptions import StoreUnavailable
from worker.vector_search.interfaces import FaceRecord, Match, SearchQuery
from worker.vector_search.memory import InMemoryVectorStore


class WatchedStore(InMemoryVectorStore):
    """Notes writes and queries; with `forgets` it takes what it is given and keeps nothing."""

    forgets = False

    def __init__(self, engine: Engine) -> None:
        super().__init__(name="faces", dimension=engine.pack.dimension, fingerprint=engine.pack.fingerprint)
        self.written: list[FaceRecord] = []
        self.queries: list[SearchQuery] = []

    def upsert(self, records: Sequence[FaceRecord]) -> None:
        self.written += records
        if not self.forgets:
            super().upsert(records)

    def search(self, query: SearchQuery) -> list[list[Match]]:
        self.queries.append(query)
        return super().search(query)


@pytest.fixture(scope="module")
def engine() -> FaceEngine:
    opened = FaceEngine(dlib_config())
    opened.open()
    return opened


@pytest.fixture
def store(engine: FaceEngine) -> WatchedStore:
    opened = WatchedStore(engine)
    opened.open()
    return opened


def test_a_face_is_written_once_and_found_from_then_on(engine: FaceEngine, store: WatchedStore) -> None:
    for _ in range(3):
        find_known_face(engine, store, limits=engine.config.image_limits)
    assert len(store.written) == 1
    assert store.count(gallery_id=CANARY_GALLERY_ID) == 1


def test_no_two_canaries_ask_the_same_so_that_no_cache_answers(engine: FaceEngine, store: WatchedStore) -> None:
    for _ in range(3):
        find_known_face(engine, store, limits=engine.config.image_limits)
    asked = {query.embeddings.tobytes() for query in store.queries[1:]}
    assert len(asked) == len(store.queries) - 1


def test_a_store_that_keeps_nothing_is_found_out(engine: FaceEngine, store: WatchedStore) -> None:
    store.forgets = True
    with pytest.raises(CanaryLost):
        find_known_face(engine, store, limits=engine.config.image_limits)


def test_a_face_that_is_lost_or_another_packs_is_put_back(engine: FaceEngine, store: WatchedStore) -> None:
    find_known_face(engine, store, limits=engine.config.image_limits)
    foreign = np.roll(store.written[0].embedding, 1)
    [face] = store.written
    store.upsert(
        [FaceRecord(face_id=face.face_id, photo_id=face.photo_id, gallery_id=face.gallery_id, embedding=foreign)]
    )

    find_known_face(engine, store, limits=engine.config.image_limits)

    assert len(store.written) == 3
    assert store.count() == 1


def test_a_store_that_does_not_answer_is_said_so(engine: FaceEngine, store: WatchedStore) -> None:
    def search(_: SearchQuery) -> list[list[Match]]:
        raise StoreUnavailable("down")

    store.search = search  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        find_known_face(engine, store, limits=engine.config.image_limits)


class Blind:
    """An engine whose detector finds nothing."""

    def __init__(self, inner: FaceEngine) -> None:
        self.pack, self.config = inner.pack, inner.config
        self._inner = inner

    def detect(self, image: Image, *, reduction: Reduction | None = None) -> DetectedFaces:
        return DetectedFaces()

    def embed(self, found: Sequence[Sequence[AlignedFace]]) -> list[list[Face]]:
        return self._inner.embed(found)


def test_a_pack_that_sees_no_face_in_the_picture_has_a_canary_all_the_same(
    engine: FaceEngine, store: WatchedStore
) -> None:
    blind = cast(Engine, Blind(engine))
    for _ in range(2):
        find_known_face(blind, store, limits=engine.config.image_limits)
    assert len(store.written) == 1


def test_no_gallery_of_a_user_can_be_the_canarys() -> None:
    assert uuid.UUID(CANARY_GALLERY_ID).version == 5
    assert uuid.uuid4().version == 4


class Measured:
    def __init__(self) -> None:
        self.stages: list[str] = []

    def record(self, stage: str, seconds: float) -> None:
        assert seconds >= 0
        self.stages.append(stage)


def test_every_stage_of_searching_and_adding_is_measured(engine: FaceEngine, store: WatchedStore) -> None:
    measured = Measured()
    index = FaceIndex(engine, store, stages=measured)
    portrait = (files("skimage") / "data" / "astronaut.png").read_bytes()
    gallery_id, photo_id = str(uuid.uuid4()), str(uuid.uuid4())

    index.add([PhotoToIndex(photo_id=photo_id, gallery_id=gallery_id, read=lambda: portrait)])
    assert measured.stages == ["decode", "detect", "embed"]
    measured.stages.clear()
    index.search(portrait, gallery_ids=(gallery_id,), limit=1, min_similarity=None)
    assert measured.stages == ["decode", "detect", "embed", "search"]

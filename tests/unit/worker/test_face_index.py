"""FaceIndex: search, add and remove, on the pack dlib and the exact store in memory."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import pictures
from tests.packs import dlib_config
from worker.bulk import PhotoToIndex
from worker.config import ImageLimits
from worker.errors import FaceNotIndexed, ImageError, ModelMismatch, NotOpen, PhotoStorageUnavailable
from worker.face_ids import face_ids
from worker.face_index import FaceIndex
from worker.images.decoding import decode
from worker.queries.faces import QueryFaces
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Box, Crop, DetectedFaces, Detection, Embeddings, Image
from worker.recognition.similarity import SimilarityScale
from worker.vector_search.exceptions import StoreUnavailable
from worker.vector_search.interfaces import FaceRecord, Match, SearchQuery
from worker.vector_search.memory import InMemoryVectorStore

GALLERY, OTHER_GALLERY = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
TOM = pictures.sample_bytes("tom_hanks")
NOBODY = pictures.saved(pictures.gradient_picture(), "PNG")
BROKEN = TOM[: len(TOM) // 2]
ENGINE = FaceEngine(dlib_config())


def astronaut(**changes: object) -> bytes:
    """Return the astronaut's portrait, cut close, as a file."""
    face = pictures.sample("astronaut")[:300, 60:380]
    return pictures.saved(pictures.varied(face, **changes), "JPEG", quality=60)  # type: ignore[arg-type]


def two_people() -> bytes:
    """Return a file with Tom Hanks on the left and the astronaut on the right."""
    left = np.pad(pictures.sample("tom_hanks"), ((94, 94), (64, 64), (0, 0)), mode="edge")
    return pictures.saved(np.hstack([left, pictures.sample("astronaut")[:300, 60:380]]), "PNG")


def photo(
    number: int,
    data: bytes | Exception,
    *,
    gallery_id: str = GALLERY,
    known: dict[str, Box] | None = None,
    located: Sequence[Detection] = (),
) -> PhotoToIndex:
    def read() -> bytes:
        if isinstance(data, Exception):
            raise data
        return data

    return PhotoToIndex(
        photo_id=photo_id(number), gallery_id=gallery_id, read=read, known_faces=known or {}, located=located
    )


def photo_id(number: int) -> str:
    return str(uuid.UUID(int=1000 + number))


class WatchedStore(InMemoryVectorStore):
    """Counts the calls that the contract counts."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.calls: list[str] = []

    def search(self, query: SearchQuery) -> list[list[Match]]:
        self.calls.append("search")
        return super().search(query)

    def upsert(self, records: Sequence[object]) -> None:
        self.calls.append("upsert")
        super().upsert(records)  # type: ignore[arg-type]

    def delete_stale_faces(self, **options: object) -> None:  # type: ignore[override]
        self.calls.append("delete_stale_faces")
        super().delete_stale_faces(**options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def engine() -> FaceEngine:
    ENGINE.open()
    return ENGINE


@pytest.fixture
def store(engine: FaceEngine) -> WatchedStore:
    return WatchedStore(name="faces", dimension=engine.pack.dimension, fingerprint=engine.pack.fingerprint)


@pytest.fixture
def index(engine: FaceEngine, store: WatchedStore) -> Iterator[FaceIndex]:
    index = FaceIndex(engine, store)
    index.open()
    yield index
    store.close()  # and not the index: its engine is shared by all tests


def search(index: FaceIndex, data: bytes, **options: object):  # type: ignore[no-untyped-def]
    arguments = {"gallery_ids": (GALLERY,), "limit": 5, "min_similarity": None, **options}
    return index.search(data, **arguments)  # type: ignore[arg-type]


class TestOpening:
    def test_before_open_it_says_so(self) -> None:
        closed = FaceIndex(FaceEngine(ENGINE.config), InMemoryVectorStore(name="x", dimension=128, fingerprint="f"))

        with pytest.raises(NotOpen):
            search(closed, TOM)
        with pytest.raises(NotOpen):
            closed.add([photo(1, TOM)])
        assert not closed.healthy()
        closed.close()

    def test_opened_it_is_healthy_and_closed_twice_it_is_not(self, engine: FaceEngine, store: WatchedStore) -> None:
        own = FaceEngine(engine.config)
        index = FaceIndex(own, store)
        index.open()
        assert index.healthy()

        index.close()
        index.close()

        assert not index.healthy()
        assert not own.is_open

    def test_when_the_store_does_not_open_nothing_stays_open(self, engine: FaceEngine) -> None:
        server: dict = {}  # type: ignore[type-arg]
        InMemoryVectorStore(name="faces", dimension=128, fingerprint="another pack", server=server).open()
        own = FaceEngine(engine.config)
        store = InMemoryVectorStore(name="faces", dimension=128, fingerprint=engine.pack.fingerprint, server=server)

        with pytest.raises(ModelMismatch):
            FaceIndex(own, store).open()

        assert not own.is_open


class TestSearch:
    def test_a_portrait_is_found_again_after_crop_light_turn_and_jpeg(self, index: FaceIndex) -> None:
        [added, _] = index.add([photo(1, pictures.sample_bytes("astronaut")), photo(2, TOM)])

        answer = search(index, astronaut(light=0.8, contrast=1.2, degrees=4))

        assert (answer.width, answer.height) == (320, 300)
        [face] = answer.faces
        [match] = face.matches
        assert match.face_id == added.faces[0].face_id
        assert match.photo_id == photo_id(1)

    def test_all_faces_of_a_picture_are_one_call_of_the_store(self, index: FaceIndex, store: WatchedStore) -> None:
        index.add([photo(1, astronaut()), photo(2, TOM)])
        store.calls.clear()

        answer = search(index, two_people())

        assert store.calls == ["search"]
        assert sorted(face.matches[0].photo_id for face in answer.faces) == [photo_id(1), photo_id(2)]

    def test_only_the_largest_face_is_searched_when_asked(self, index: FaceIndex) -> None:
        every = search(index, two_people()).faces
        [largest] = search(index, two_people(), faces="largest").faces

        assert len(every) == 2
        assert largest.face.box.width == max(face.face.box.width for face in every)

    def test_a_picture_without_a_face_asks_the_store_nothing(self, index: FaceIndex, store: WatchedStore) -> None:
        answer = search(index, NOBODY)

        assert answer.faces == ()
        assert (answer.width, answer.height) == (48, 32)
        assert store.calls == []

    def test_the_similarity_asked_for_replaces_the_packs_own(self, index: FaceIndex) -> None:
        index.add([photo(1, astronaut())])

        assert search(index, TOM).faces[0].matches == ()
        assert len(search(index, TOM, min_similarity=-1.0).faces[0].matches) == 1

    def test_another_gallery_is_not_searched(self, index: FaceIndex) -> None:
        index.add([photo(1, TOM)])

        assert search(index, TOM, gallery_ids=(OTHER_GALLERY,)).faces[0].matches == ()

    def test_several_galleries_are_searched_in_one_call_of_the_store(
        self, index: FaceIndex, store: WatchedStore
    ) -> None:
        index.add([photo(1, TOM), photo(2, TOM, gallery_id=OTHER_GALLERY)])
        store.calls.clear()

        [face] = search(index, TOM, gallery_ids=(GALLERY, OTHER_GALLERY)).faces

        assert sorted(match.photo_id for match in face.matches) == [photo_id(1), photo_id(2)]
        assert store.calls == ["search"]

    @pytest.mark.parametrize(
        ("data", "code"), [(b"", "image_empty"), (b"text", "not_an_image"), (BROKEN, "image_truncated")]
    )
    def test_a_bad_picture_is_an_image_error(self, index: FaceIndex, data: bytes, code: str) -> None:
        with pytest.raises(ImageError) as caught:
            search(index, data)

        assert caught.value.code == code


class StubCache:
    """Keeps what it is asked to, and notes the variants."""

    def __init__(self) -> None:
        self.kept: dict[tuple[bytes, str], QueryFaces] = {}

    def faces(self, image: bytes, *, variant: str, find: Callable[[], QueryFaces]) -> QueryFaces:
        if (image, variant) not in self.kept:
            self.kept[image, variant] = find()
        return self.kept[image, variant]


class TestSearchWithACache:
    def test_a_picture_is_looked_at_once_for_all_and_once_for_the_largest_face(
        self, engine: FaceEngine, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = StubCache()
        index = FaceIndex(engine, store, query_faces=cache)  # type: ignore[arg-type]
        index.open()
        looks: list[Image] = []
        find = engine.detect
        monkeypatch.setattr(engine, "detect", lambda image, **_: looks.append(image) or find(image))

        first, again = search(index, two_people()), search(index, two_people())
        largest = search(index, two_people(), faces="largest")

        assert first == again
        assert (len(first.faces), len(largest.faces), len(looks)) == (2, 1, 2)
        detector = engine.pack.detector_fingerprint
        assert [variant for _, variant in cache.kept] == [f"all:{detector}", f"largest:{detector}"]
        store.close()


class TestAdd:
    def test_every_photo_has_its_outcome_in_the_order_given(self, index: FaceIndex, store: WatchedStore) -> None:
        outcomes = index.add(
            [
                photo(1, BROKEN),
                photo(2, TOM),
                photo(3, NOBODY),
                photo(4, FileNotFoundError("gone")),
                photo(5, b""),
                photo(6, pictures.huge_png()),
            ]
        )

        assert [(outcome.photo_id, outcome.state, outcome.code) for outcome in outcomes] == [
            (photo_id(1), "failed", "image_truncated"),
            (photo_id(2), "indexed", ""),
            (photo_id(3), "no_faces", "no_face"),
            (photo_id(4), "failed", "photo_missing"),
            (photo_id(5), "failed", "image_empty"),
            (photo_id(6), "failed", "image_too_large"),
        ]
        assert all(outcome.message.endswith(".") for outcome in outcomes if outcome.state != "indexed")
        assert store.count(gallery_id=GALLERY) == 1

    def test_an_outcome_tells_size_format_and_faces(self, index: FaceIndex) -> None:
        [tom, nobody, broken] = index.add([photo(1, TOM), photo(2, NOBODY), photo(3, BROKEN)])

        assert (tom.width, tom.height, tom.image_format) == (112, 112, "PNG")
        assert len(tom.faces) == 1
        assert (nobody.width, nobody.height) == (48, 32)
        assert (broken.width, broken.height) == (None, None)

    def test_all_rows_are_written_in_one_call_and_stale_ones_deleted_afterwards(
        self, index: FaceIndex, store: WatchedStore
    ) -> None:
        index.add([photo(1, TOM), photo(2, astronaut()), photo(3, two_people())])

        assert store.calls == ["upsert", "delete_stale_faces"]
        assert store.count() == 4

    def test_photos_that_no_longer_fit_fail_with_a_sentence_and_those_that_do_are_indexed(
        self, engine: FaceEngine
    ) -> None:
        pack = engine.pack
        store = InMemoryVectorStore(
            name="faces", dimension=pack.dimension, fingerprint=pack.fingerprint, max_capacity=2
        )
        store.open()
        index = FaceIndex(engine, store)
        index.add([photo(1, TOM)])

        outcomes = index.add([photo(1, TOM), photo(2, two_people()), photo(3, NOBODY), photo(4, astronaut())])

        assert [(outcome.state, outcome.code) for outcome in outcomes] == [
            ("indexed", ""),
            ("failed", "capacity_reached"),
            ("no_faces", "no_face"),
            ("indexed", ""),
        ]
        assert "2 more do not fit" in outcomes[1].message
        assert outcomes[1].faces == ()
        assert {row.photo_id for row in store.iterate()} == {photo_id(1), photo_id(4)}

    def test_adding_twice_gives_the_same_ids_and_the_same_rows(self, index: FaceIndex, store: WatchedStore) -> None:
        photos = [photo(1, TOM), photo(2, two_people())]

        first, second = index.add(photos), index.add(photos)

        assert [face.face_id for outcome in first for face in outcome.faces] == [
            face.face_id for outcome in second for face in outcome.faces
        ]
        assert store.count() == 3

    def test_a_face_found_again_keeps_the_id_that_the_database_knows(self, index: FaceIndex) -> None:
        known = str(uuid.UUID(int=77))
        [first] = index.add([photo(1, TOM)])
        box = first.faces[0].face.box
        moved = Box(left=box.left + 5, top=box.top - 3, right=box.right + 5, bottom=box.bottom - 3)

        [second] = index.add([photo(1, TOM, known={known: moved})])

        assert [face.face_id for face in second.faces] == [known]

    def test_what_an_earlier_run_found_and_this_one_did_not_is_deleted(
        self, index: FaceIndex, store: WatchedStore
    ) -> None:
        index.add([photo(1, TOM), photo(2, TOM)])

        index.add([photo(1, NOBODY)])

        assert [row.photo_id for row in store.iterate()] == [photo_id(2)]

    def test_a_photo_that_fails_keeps_the_faces_it_had(self, index: FaceIndex, store: WatchedStore) -> None:
        index.add([photo(1, TOM)])

        index.add([photo(1, BROKEN)])

        assert store.count() == 1

    def test_photos_of_two_galleries_stay_apart(self, index: FaceIndex, store: WatchedStore) -> None:
        index.add([photo(1, TOM), photo(2, TOM, gallery_id=OTHER_GALLERY)])

        assert store.count(gallery_id=GALLERY) == store.count(gallery_id=OTHER_GALLERY) == 1

    def test_nothing_to_add_is_no_error(self, index: FaceIndex, store: WatchedStore) -> None:
        assert index.add([]) == []
        assert store.calls == []

    @pytest.mark.parametrize("error", [PermissionError("no"), TimeoutError("late"), OSError("network")])
    def test_a_storage_in_trouble_is_no_photos_fault(
        self, index: FaceIndex, store: WatchedStore, error: OSError
    ) -> None:
        with pytest.raises(PhotoStorageUnavailable) as caught:
            index.add([photo(1, TOM), photo(2, error)])

        assert caught.value.retryable
        assert store.calls == []

    def test_a_store_in_trouble_is_no_photos_fault(
        self, index: FaceIndex, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unavailable(_: object) -> None:
            raise StoreUnavailable("down")

        monkeypatch.setattr(store, "upsert", unavailable)

        with pytest.raises(StoreUnavailable):
            index.add([photo(1, TOM)])

    def test_a_picture_that_the_model_cannot_stand_fails_alone(
        self, index: FaceIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ENGINE, "detect", failing_on(lambda image: image.shape[0] == 32))

        outcomes = index.add([photo(1, NOBODY), photo(2, TOM)])

        assert [(outcome.state, outcome.code) for outcome in outcomes] == [("failed", "bad_image"), ("indexed", "")]

    def test_a_model_that_stands_no_picture_is_no_photos_fault(
        self, index: FaceIndex, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ENGINE, "detect", failing_on(lambda image: True))

        with pytest.raises(RuntimeError, match="device lost"):
            index.add([photo(1, NOBODY), photo(2, TOM), photo(3, BROKEN)])

        assert store.calls == []

    def test_a_picture_whose_faces_cannot_be_described_fails_alone(
        self, index: FaceIndex, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        embed = engine.pack.recognizer.embed
        [[poison]] = [engine.detect(decode(TOM, limits=ImageLimits()).pixels).faces]

        def failing(crops: Sequence[Crop]) -> Embeddings:
            if any((crop == poison.crop).all() for crop in crops):
                raise RuntimeError("device lost")
            return embed(crops)

        monkeypatch.setattr(engine.pack.recognizer, "embed", failing)

        outcomes = index.add([photo(1, astronaut()), photo(2, TOM), photo(3, NOBODY)])

        assert [(outcome.state, outcome.code) for outcome in outcomes] == [
            ("indexed", ""),
            ("failed", "bad_image"),
            ("no_faces", "no_face"),
        ]

    def test_faces_of_several_photos_are_described_together_and_let_go_when_there_are_enough(
        self, index: FaceIndex, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        embed, runs = engine.pack.recognizer.embed, []
        monkeypatch.setattr(engine.pack.recognizer, "embed", lambda crops: runs.append(len(crops)) or embed(crops))
        monkeypatch.setattr("worker.bulk.CROPS_AT_ONCE", 3)

        index.add([photo(1, TOM), photo(2, NOBODY), photo(3, two_people()), photo(4, TOM), photo(5, TOM)])

        assert runs == [3, 2]

    def test_no_more_photos_are_held_decoded_than_there_are_threads_for_it(
        self, store: WatchedStore, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held, most, lock = 0, 0, threading.Lock()
        real = engine.detect

        def find(image: Image, **_: object) -> DetectedFaces:
            nonlocal held
            try:
                return real(image)
            finally:
                with lock:
                    held -= 1

        def read() -> bytes:
            nonlocal held, most
            with lock:
                held += 1
                most = max(most, held)
            time.sleep(0.01)
            return NOBODY

        monkeypatch.setattr(engine, "config", replace(engine.config, decode_threads=3))
        monkeypatch.setattr(engine, "detect", find)
        index = FaceIndex(engine, store)
        index.open()

        index.add([PhotoToIndex(photo_id=photo_id(n), gallery_id=GALLERY, read=read) for n in range(12)])

        assert (held, most) == (0, 3)


class TestLocatedFaces:
    """Photos whose faces the same detector has found before."""

    def located(self, engine: FaceEngine, number: int, data: bytes) -> PhotoToIndex:
        """Return the photo with ids of its own for what the detector finds in it."""
        found = [face.detection for face in engine.detect(decode(data, limits=ImageLimits()).pixels).faces]
        ids = [str(uuid.UUID(int=100 * number + place)) for place in range(len(found))]
        known = {id_: detection.box for id_, detection in zip(ids, found, strict=True)}
        return photo(number, data, known=known, located=found)

    def test_they_are_described_as_if_they_were_found_and_keep_their_ids(
        self, index: FaceIndex, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        photos = [self.located(engine, 1, TOM), self.located(engine, 2, two_people())]
        looked = index.add([replace(each, located=()) for each in photos])
        monkeypatch.setattr(engine.pack.detector, "detect", None)

        outcomes = index.add(photos)

        assert [len(outcome.faces) for outcome in outcomes] == [1, 2]
        assert [{face.face_id for face in outcome.faces} for outcome in outcomes] == [
            set(each.known_faces) for each in photos
        ]
        for outcome, before in zip(outcomes, looked, strict=True):
            assert replace(outcome, faces=()) == replace(before, faces=())
            for one, other in zip(outcome.faces, before.faces, strict=True):
                assert (one.face_id, one.face.box, one.face.score) == (other.face_id, other.face.box, other.face.score)
                assert one.face.quality == other.face.quality
                assert float(one.face.embedding @ other.face.embedding) > 0.9999

    def test_other_photos_of_the_chunk_are_looked_at(self, index: FaceIndex, engine: FaceEngine) -> None:
        known = self.located(engine, 1, TOM)
        absent = photo(4, FileNotFoundError("gone"), known=dict(known.known_faces), located=known.located)

        outcomes = index.add([known, photo(2, astronaut()), photo(3, NOBODY), absent])

        assert [outcome.code for outcome in outcomes] == ["", "", "no_face", "photo_missing"]

    def test_a_threshold_rejects_them_as_it_would_have(
        self, index: FaceIndex, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = self.located(engine, 1, two_people())
        monkeypatch.setattr(engine, "config", replace(engine.config, min_face_pixels=5000))

        [outcome] = index.add([known])

        assert (outcome.state, outcome.code) == ("no_faces", "face_too_small")
        assert outcome.message == "No usable face was found in this picture: 2 too small."


class TestRejectedFaces:
    def test_a_photo_whose_faces_are_all_rejected_says_why(self, index: FaceIndex, engine: FaceEngine) -> None:
        cases = {
            "min_face_pixels": (5000, "face_too_small", "too small"),
            "min_face_quality": (1.0, "low_quality", "of too low quality"),
        }
        for threshold, (value, code, text) in cases.items():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(engine, "config", replace(engine.config, **{threshold: value}))
                [outcome] = index.add([photo(1, two_people())])

            assert (outcome.state, outcome.code) == ("no_faces", code)
            assert outcome.message == f"No usable face was found in this picture: 2 {text}."
            assert len(outcome.rejected) == 2

    def test_a_search_tells_which_faces_it_left_out(self, index: FaceIndex, engine: FaceEngine) -> None:
        [large, small] = sorted(search(index, two_people()).faces, key=lambda face: -face.face.box.width)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "config", replace(engine.config, min_face_pixels=int(large.face.box.width)))
            answer = search(index, two_people())

        assert len(answer.faces) == 1
        [rejected] = answer.rejected
        assert (rejected.reason, rejected.box) == ("face_too_small", small.face.box)


class TestSimilarity:
    """With a pack whose similarity is not the cosine. One query face, and stored faces of known cosines to it."""

    SCALE = SimilarityScale(0.35)
    #: Some on both sides of -1..0..1 and of the threshold, some on it to the last decimal.
    COSINES = (1.0, 0.97, 0.930001, 0.93, 0.929999, 0.9, 0.825, 0.65, 0.31, 0.0, -0.8)

    @pytest.fixture
    def scaled(self, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch) -> FaceEngine:
        monkeypatch.setattr(engine, "_pack", replace(engine.pack, similarity=self.SCALE, match_similarity=0.8))
        return engine

    @pytest.fixture
    def filled(self, scaled: FaceEngine, store: WatchedStore) -> Iterator[FaceIndex]:
        index = FaceIndex(scaled, store)
        index.open()
        store.upsert(
            [
                FaceRecord(
                    face_id=self.face_id(number),
                    photo_id=photo_id(number),
                    gallery_id=GALLERY,
                    embedding=at_cosine(tom(scaled), cosine),
                )
                for number, cosine in enumerate(self.COSINES)
            ]
        )
        yield index
        store.close()

    def face_id(self, number: int) -> str:
        return str(uuid.UUID(int=5000 + number))

    def of(self, cosine: float) -> float:
        return round(self.SCALE.of_cosine(cosine), 6)

    def cosines(self, store: WatchedStore) -> dict[str, float]:
        """Return what the store says of each face."""
        query = SearchQuery(gallery_ids=(GALLERY,), embeddings=tom(ENGINE)[None], limit=50)
        [matches] = InMemoryVectorStore.search(store, query)
        return {match.face_id: match.similarity for match in matches}

    def test_everything_is_found_on_the_packs_scale(self, filled: FaceIndex, store: WatchedStore) -> None:
        [face] = search(filled, TOM, min_similarity=-1.0, limit=50).faces

        found = {match.face_id: match.similarity for match in face.matches}
        assert found == {face_id: self.of(cosine) for face_id, cosine in self.cosines(store).items()}
        assert len(found) == len(self.COSINES)
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert found[self.face_id(6)] == pytest.approx(0.5, abs=1e-5)
        assert found[self.face_id(10)] == -1

    @pytest.mark.parametrize("least", [None, 1.0, 0.800003, 0.8, 0.799997, 0.5, 0.0, -0.97, -0.999999, -1.0, 1.5])
    def test_those_found_are_those_that_are_at_least_so_similar(
        self, filled: FaceIndex, store: WatchedStore, least: float | None
    ) -> None:
        [face] = search(filled, TOM, min_similarity=least, limit=50).faces

        in_force = 0.8 if least is None else least
        expected = {face_id for face_id, cosine in self.cosines(store).items() if self.of(cosine) >= in_force}
        assert {match.face_id for match in face.matches} == expected
        assert all(match.similarity >= in_force for match in face.matches)

    def test_neighbours_are_those_that_a_search_finds(self, filled: FaceIndex) -> None:
        [searched] = search(filled, TOM, limit=50).faces

        near = filled.neighbours(gallery_id=GALLERY, face_ids=[self.face_id(0)], limit=50)[self.face_id(0)]

        assert [(m.face_id, m.similarity) for m in near] == [
            (m.face_id, pytest.approx(m.similarity, abs=5e-6)) for m in searched.matches if m.face_id != self.face_id(0)
        ]
        assert len(near) >= 2

    @pytest.mark.parametrize("cosine", COSINES)
    def test_two_images_are_as_similar_as_a_search_says(
        self, filled: FaceIndex, store: WatchedStore, cosine: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        number = self.COSINES.index(cosine)
        [stored] = store.fetch([self.face_id(number)]).values()
        other = replace(filled._seen(TOM, "largest").faces[0], embedding=stored)
        picture = QueryFaces(faces=(other,), width=1, height=1)
        seen = filled._seen
        monkeypatch.setattr(filled, "_seen", lambda image, *more: picture if image == b"other" else seen(image, *more))
        matches = {m.face_id: m.similarity for m in search(filled, TOM, min_similarity=-1.0, limit=50).faces[0].matches}

        verified = filled.verify((TOM, b"other"))

        assert verified.similarity == pytest.approx(matches[self.face_id(number)], abs=5e-6)
        assert (verified.is_same, verified.threshold) == (verified.similarity >= 0.8, 0.8)
        assert filled.verify((TOM, b"other"), min_similarity=-1.0).is_same


@cache
def tom(engine: FaceEngine) -> np.ndarray:
    [[face]] = engine.faces([pictures.sample("tom_hanks")])
    return face.embedding


def at_cosine(embedding: np.ndarray, cosine: float) -> np.ndarray:
    """Return an embedding of unit length with this cosine to the given one."""
    across = np.zeros_like(embedding, dtype=np.float64)
    across[np.abs(embedding).argmin()] = 1
    across -= embedding * (embedding @ across)
    other = cosine * embedding + np.sqrt(1 - cosine**2) * across / np.linalg.norm(across)
    return (other / np.linalg.norm(other)).astype(np.float32)


class TestReasons:
    def test_a_face_without_a_match_says_how_similar_the_best_is(self, index: FaceIndex) -> None:
        index.add([photo(1, astronaut()), photo(2, pictures.sample_bytes("astronaut"))])
        [every] = search(index, TOM, min_similarity=-1.0).faces

        answer = search(index, TOM)

        [face] = answer.faces
        assert face.matches == ()
        assert face.reason == answer.reason
        assert (face.reason.code, face.reason.best_similarity) == ("below_threshold", every.matches[0].similarity)
        assert (every.reason, search(index, TOM, min_similarity=-1.0).reason) == (None, None)

    def test_one_face_with_a_match_is_enough_for_the_answer_but_the_other_has_its_reason(
        self, index: FaceIndex
    ) -> None:
        index.add([photo(1, TOM)])

        answer = search(index, two_people())

        assert answer.reason is None
        codes = [face.reason.code if face.reason else "" for face in answer.faces]
        assert sorted(codes) == ["", "below_threshold"]

    def test_galleries_without_faces_are_empty(self, index: FaceIndex) -> None:
        index.add([photo(1, TOM, gallery_id=OTHER_GALLERY)])

        answer = search(index, TOM, min_similarity=-1.0)

        assert [face.reason.code for face in answer.faces] == ["empty_gallery"]
        assert (answer.reason.code, answer.reason.best_similarity) == ("empty_gallery", None)

    def test_a_picture_without_a_face_that_is_used_says_what_became_of_them(
        self, index: FaceIndex, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert search(index, NOBODY).reason.code == "no_face"
        monkeypatch.setattr(engine, "config", replace(engine.config, min_face_pixels=5000))

        assert search(index, two_people()).reason.code == "face_too_small"
        assert index.detect(two_people()).reason.code == "face_too_small"


class TestSearchByFace:
    def by_face(self, index: FaceIndex, face_id: str, **options: object):  # type: ignore[no-untyped-def]
        arguments = {"gallery_ids": (GALLERY,), "limit": 5, "min_similarity": None, **options}
        return index.search_by_face(face_id, **arguments)  # type: ignore[arg-type]

    def test_a_stored_face_finds_what_its_picture_finds_without_itself_and_without_a_model(
        self, index: FaceIndex, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        added = index.add([photo(1, TOM), photo(2, pictures.saved(pictures.sample("tom_hanks"), "PNG"))])
        [first, second] = [outcome.faces[0].face_id for outcome in added]
        [searched] = search(index, TOM).faces
        monkeypatch.setattr(engine, "detect", None)
        monkeypatch.setattr(engine, "embed", None)

        found = self.by_face(index, first, limit=1)

        assert [match.face_id for match in found.matches] == [second]
        assert found.reason is None
        assert second in [match.face_id for match in searched.matches]

    def test_it_need_not_be_in_a_gallery_that_is_searched(self, index: FaceIndex) -> None:
        [added, _] = index.add([photo(1, TOM, gallery_id=OTHER_GALLERY), photo(2, TOM)])

        found = self.by_face(index, added.faces[0].face_id)

        assert [match.photo_id for match in found.matches] == [photo_id(2)]

    def test_alone_in_its_gallery_it_has_nothing_to_be_compared_with(self, index: FaceIndex) -> None:
        [added] = index.add([photo(1, TOM)])

        assert self.by_face(index, added.faces[0].face_id, min_similarity=-1.0).reason.code == "empty_gallery"

    def test_among_strangers_it_says_how_similar_the_best_is(self, index: FaceIndex) -> None:
        [added, _] = index.add([photo(1, TOM), photo(2, astronaut())])
        [every] = self.by_face(index, added.faces[0].face_id, min_similarity=-1.0).matches

        found = self.by_face(index, added.faces[0].face_id)

        assert found.matches == ()
        assert (found.reason.code, found.reason.best_similarity) == ("below_threshold", every.similarity)

    def test_a_thousand_matches_can_be_asked_for(self, index: FaceIndex) -> None:
        [added, _] = index.add([photo(1, TOM), photo(2, TOM)])

        assert len(self.by_face(index, added.faces[0].face_id, limit=1000).matches) == 1

    def test_a_face_without_an_embedding_is_an_error_with_a_code(self, index: FaceIndex) -> None:
        with pytest.raises(FaceNotIndexed):
            self.by_face(index, str(uuid.UUID(int=77)))

    def test_one_that_is_no_longer_wanted_asks_the_store_nothing(self, index: FaceIndex, store: WatchedStore) -> None:
        def gone() -> None:
            raise ImageError("gone")

        with pytest.raises(ImageError, match="gone"):
            self.by_face(index, str(uuid.UUID(int=77)), check_wanted=gone)
        assert store.calls == []


class TestVerify:
    def test_two_pictures_of_one_portrait_are_the_same(self, index: FaceIndex) -> None:
        same = index.verify((pictures.sample_bytes("astronaut"), astronaut(light=0.8, degrees=4)))

        assert same.is_same
        assert same.similarity is not None
        assert same.similarity > 0.95
        assert (same.threshold, same.reason) == (ENGINE.pack.match_similarity, None)
        assert index.verify((TOM, TOM)).similarity == pytest.approx(1.0, abs=1e-5)

    def test_two_people_are_not_and_the_reason_says_how_similar_they_are(self, index: FaceIndex) -> None:
        verified = index.verify((TOM, astronaut()))

        assert verified.is_same is False
        assert verified.reason is not None
        assert (verified.reason.code, verified.reason.best_similarity) == ("below_threshold", verified.similarity)
        assert index.verify((TOM, astronaut()), min_similarity=-1.0).is_same

    def test_the_largest_face_of_each_picture_is_compared(self, index: FaceIndex) -> None:
        [largest] = search(index, two_people(), faces="largest").faces
        verified = index.verify((two_people(), TOM))

        face = verified.pictures[0].face
        assert face is not None
        assert face.box == largest.face.box
        assert (verified.pictures[1].width, verified.pictures[1].height) == pictures.sample("tom_hanks").shape[1::-1]

    def test_a_picture_without_a_face_is_named(self, index: FaceIndex) -> None:
        for number, images in enumerate([(NOBODY, TOM), (TOM, NOBODY)]):
            verified = index.verify(images)

            assert (verified.similarity, verified.is_same) == (None, None)
            without, other = verified.pictures[number], verified.pictures[1 - number]
            assert without.reason == verified.reason
            assert without.reason is not None
            assert without.reason.code == "no_face"
            assert without.reason.message.startswith(("In the first picture", "In the second picture")[number])
            assert (without.face, other.reason) == (None, None)
            assert other.face is not None

    @pytest.mark.parametrize(("images", "which"), [((BROKEN, TOM), "first"), ((TOM, BROKEN), "second")])
    def test_a_bad_picture_is_named_and_keeps_its_code(
        self, index: FaceIndex, images: tuple[bytes, bytes], which: str
    ) -> None:
        with pytest.raises(ImageError, match=f"^The {which} picture: ") as caught:
            index.verify(images)
        assert caught.value.code == "image_truncated"


class TestDetect:
    def test_faces_come_with_everything_but_embeddings_and_nothing_is_asked_or_kept(
        self, engine: FaceEngine, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = StubCache()
        index = FaceIndex(engine, store, query_faces=cache)  # type: ignore[arg-type]
        index.open()
        searched = index.search(two_people(), gallery_ids=(GALLERY,), limit=1, min_similarity=None)
        cache.kept.clear()
        store.calls.clear()
        monkeypatch.setattr(engine, "embed", None)

        found = index.detect(two_people())

        assert [(face.detection.box, face.detection.score, face.quality) for face in found.faces] == [
            (each.face.box, each.face.score, each.face.quality) for each in searched.faces
        ]
        assert (found.width, found.height, found.reason) == (searched.width, searched.height, None)
        assert (cache.kept, store.calls) == ({}, [])
        store.close()

    def test_a_picture_without_a_face_says_so(self, index: FaceIndex) -> None:
        found = index.detect(NOBODY)
        assert found.faces == ()
        assert found.reason is not None
        assert found.reason.code == "no_face"

    def test_one_that_is_no_longer_wanted_runs_no_model(self, index: FaceIndex) -> None:
        def gone() -> None:
            raise FaceNotIndexed

        with pytest.raises(FaceNotIndexed):
            index.detect(TOM, check_wanted=gone)
        with pytest.raises(FaceNotIndexed):
            index.verify((TOM, TOM), check_wanted=gone)


def failing_on(is_bad: Callable[[Image], bool]) -> Callable[[Image], DetectedFaces]:
    real = ENGINE.detect

    def find(image: Image, **_: object) -> DetectedFaces:
        if is_bad(image):
            raise RuntimeError("device lost")
        return real(image)

    return find


class TestRemove:
    def test_a_removed_photo_is_never_found_again(self, index: FaceIndex, store: WatchedStore) -> None:
        index.add([photo(1, TOM), photo(2, astronaut())])

        index.remove(gallery_id=GALLERY, photo_ids=[photo_id(1), photo_id(9)])

        assert search(index, TOM).faces[0].matches == ()
        assert store.count() == 1


boxes = st.builds(
    lambda left, top, width, height: Box(left=left, top=top, right=left + width, bottom=top + height),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(1, 40),
    st.integers(1, 40),
)


class TestFaceIds:
    @given(st.lists(boxes, max_size=6), st.lists(boxes, max_size=6))
    def test_ids_are_all_different_repeatable_and_kept_only_for_overlapping_boxes(
        self, found: list[Box], known: list[Box]
    ) -> None:
        by_id = {str(uuid.UUID(int=number)): box for number, box in enumerate(known)}

        ids = face_ids(photo_id(1), found, by_id)

        assert len(set(ids)) == len(found)
        assert face_ids(photo_id(1), found, by_id) == ids
        assert all(str(uuid.UUID(face_id)) == face_id for face_id in ids)
        for face_id, box in zip(ids, found, strict=True):
            if face_id in by_id:
                assert box.overlap(by_id[face_id]) >= 0.5

    @given(st.lists(boxes, min_size=1, max_size=6, unique=True))
    def test_indexing_again_with_what_was_found_keeps_every_id(self, found: list[Box]) -> None:
        ids = face_ids(photo_id(1), found, {})

        assert face_ids(photo_id(1), found, dict(zip(ids, found, strict=True))) == ids

    def test_two_faces_that_round_to_one_box_have_two_ids(self) -> None:
        one = Box(left=1.1, top=1, right=9, bottom=9)
        other = Box(left=0.9, top=1, right=9, bottom=9)

        assert len(set(face_ids(photo_id(1), [one, other, one], {}))) == 3

    def test_a_known_id_goes_to_the_box_that_overlaps_it_most(self) -> None:
        known = str(uuid.UUID(int=5))
        near, nearer = (Box(left=left, top=0, right=left + 10, bottom=10) for left in (2, 1))

        ids = face_ids(photo_id(1), [near, nearer], {known: Box(left=0, top=0, right=10, bottom=10)})

        assert ids[1] == known
        assert ids[0] != known

    def test_the_same_box_in_another_photo_is_another_face(self) -> None:
        box = Box(left=0, top=0, right=10, bottom=10)

        assert face_ids(photo_id(1), [box], {}) != face_ids(photo_id(2), [box], {})


def test_a_query_may_be_limited_more_than_a_photo(store: WatchedStore) -> None:
    index = FaceIndex(FaceEngine(replace(ENGINE.config, max_query_pixels=100)), store)
    index.open()
    assert index.add([photo(1, TOM)])[0].state == "indexed"
    for asks in (lambda: search(index, TOM), lambda: index.detect(TOM), lambda: index.verify((TOM, TOM))):
        with pytest.raises(ImageError) as caught:
            asks()
        assert caught.value.code == "image_too_large"
    index.close()


def test_the_limits_of_the_configuration_hold_for_photos_and_for_queries(store: WatchedStore) -> None:
    strict = FaceEngine(replace(ENGINE.config, max_image_pixels=100))
    index = FaceIndex(strict, store)
    index.open()

    assert index.add([photo(1, TOM)])[0].code == "image_too_large"
    with pytest.raises(ImageError):
        search(index, TOM)
    index.close()


def test_the_astronaut_is_first_among_all_samples_and_a_hundred_others(index: FaceIndex, engine: FaceEngine) -> None:
    names = ["astronaut", "tom_hanks", "six_people", "mask_black", "mask_blue", "mask_green", "mask_white"]
    samples = [photo(number, pictures.sample_bytes(name)) for number, name in enumerate(names)]
    lfw = [
        photo(100 + number, pictures.saved(pictures.pasted(crop, canvas_pixels=160), "PNG"))
        for number, crop in enumerate(pictures.lfw_crops())
    ]
    indexed = sum(outcome.state == "indexed" for outcome in index.add(samples + lfw))
    print(f"\nphotos with a face: {indexed} of {len(samples) + len(lfw)}")
    assert indexed > 95

    for degrees, light, contrast in ((4, 0.75, 1.2), (-4, 1.25, 0.8), (0, 0.7, 0.7), (4, 1.3, 1.3)):
        query = astronaut(degrees=degrees, light=light, contrast=contrast)
        best, second = max(
            (face.matches for face in search(index, query, limit=2, min_similarity=-1.0).faces),
            key=lambda matches: matches[0].similarity,
        )
        print(f"{degrees} degrees: {best.similarity:.3f}, next {second.similarity:.3f}")

        assert best.photo_id == photo_id(0)
        # The others are magnified from 25 pixels: a stranger among them may look like a match, but not like her.
        assert best.similarity > engine.pack.match_similarity
        assert best.similarity > second.similarity + 0.1

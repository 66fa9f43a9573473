"""The engine: pictures in, faces with embeddings out."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import pictures
from worker.config import FaceConfig
from worker.errors import NotOpen, PackMissing
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Crop, Embeddings

STARTER = FaceConfig(packs_dir=Path("unused"))


@pytest.fixture(scope="module")
def engine() -> Iterator[FaceEngine]:
    engine = FaceEngine(STARTER)
    engine.open()
    yield engine
    engine.close()


def test_before_open_and_after_close_it_says_so() -> None:
    engine = FaceEngine(STARTER)
    with pytest.raises(NotOpen, match=r"call open\(\)"):
        engine.faces([])
    engine.close()
    engine.open()
    engine.open()
    assert engine.pack.name == "starter"
    engine.close()
    engine.close()

    assert not engine.is_open
    with pytest.raises(NotOpen):
        _ = engine.pack


def test_an_engine_whose_pack_is_missing_stays_closed(tmp_path: Path) -> None:
    engine = FaceEngine(FaceConfig(packs_dir=tmp_path, pack="nowhere"))

    with pytest.raises(PackMissing):
        engine.open()

    assert not engine.is_open


def test_faces_come_back_per_picture_in_the_order_given(engine: FaceEngine) -> None:
    nothing, one, nobody = engine.faces(
        [pictures.gradient_picture(), pictures.sample("tom_hanks"), np.zeros((1, 1, 3), np.uint8)]
    )

    assert nothing == nobody == []
    [face] = one
    assert face.embedding.shape == (512,)
    assert abs(float(np.linalg.norm(face.embedding)) - 1) < 1e-5
    assert 0 < face.quality <= 1
    assert engine.faces([]) == []


def test_all_faces_of_all_pictures_are_one_run_of_the_recognizer(engine: FaceEngine) -> None:
    runs: list[int] = []

    class Counting:
        dimension = engine.pack.dimension
        real = engine.pack.recognizer

        def embed(self, crops: Sequence[Crop]) -> Embeddings:
            runs.append(len(crops))
            return self.real.embed(crops)

    counting = FaceEngine(STARTER)
    counting._pack = replace(engine.pack, recognizer=Counting())

    counting.faces([pictures.sample("tom_hanks"), pictures.gradient_picture(), pictures.sample("tom_hanks")])

    assert runs == [2]


def test_faces_below_the_minimal_score_are_left_out(engine: FaceEngine) -> None:
    strict = FaceEngine(replace(STARTER, min_face_score=0.99))
    strict._pack = engine.pack

    assert strict.faces([pictures.sample("tom_hanks")]) == [[]]

"""The engine: pictures in, faces with embeddings out."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import pictures
from worker.config import FaceConfig
from worker.errors import NotOpen, PackMissing
from worker.recognition.engine import FaceEngine

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


def test_all_faces_of_all_pictures_are_described_together(engine: FaceEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    embed, runs = engine.pack.recognizer.embed, []
    monkeypatch.setattr(engine.pack.recognizer, "embed", lambda crops: runs.append(len(crops)) or embed(crops))

    engine.faces([pictures.sample("tom_hanks"), pictures.gradient_picture(), pictures.sample("tom_hanks")])

    assert runs == [2]


def test_a_face_that_a_threshold_rejects_comes_with_the_reason(engine: FaceEngine) -> None:
    picture = pictures.sample("tom_hanks")
    [face] = engine.detect(picture).faces
    cases = {
        "low_score": {"min_face_score": 0.99},
        "too_small": {"min_face_pixels": 111},
        "low_quality": {"min_face_quality": 1.0},
    }
    for reason, thresholds in cases.items():
        strict = FaceEngine(replace(STARTER, **thresholds))
        strict._pack = engine.pack

        seen = strict.detect(picture)

        assert seen.faces == ()
        assert [(each.box, each.reason) for each in seen.rejected] == [(face.detection.box, reason)]


def test_it_is_healthy_while_all_of_its_models_take_work() -> None:
    engine = FaceEngine(STARTER)
    assert not engine.is_healthy
    engine.open()
    assert engine.is_healthy

    engine.pack.models[0].close()

    assert not engine.is_healthy
    engine.close()

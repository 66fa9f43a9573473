"""The engine: pictures in, faces with embeddings out."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import pictures
from tests.packs import dlib_config
from worker.config import FaceConfig
from worker.errors import NotOpen, PackMissing
from worker.recognition import engine as engine_module
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import (
    Alignment,
    Box,
    Crop,
    Detection,
    Embeddings,
    Image,
    Interpolation,
    Pack,
    Reduction,
)
from worker.recognition.similarity import SimilarityScale

CONFIG = dlib_config()


@pytest.fixture(scope="module")
def engine() -> Iterator[FaceEngine]:
    engine = FaceEngine(CONFIG)
    engine.open()
    yield engine
    engine.close()


def test_before_open_and_after_close_it_says_so() -> None:
    engine = FaceEngine(CONFIG)
    with pytest.raises(NotOpen, match=r"call open\(\)"):
        engine.faces([])
    engine.close()
    engine.open()
    engine.open()
    assert engine.pack.name == "dlib"
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
    assert face.embedding.shape == (128,)
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
        "no_face": {"min_face_score": 0.999},
        "face_too_small": {"min_face_pixels": 111},
        "low_quality": {"min_face_quality": 1.0},
    }
    for reason, thresholds in cases.items():
        strict = FaceEngine(replace(CONFIG, **thresholds))
        strict._pack = engine.pack

        seen = strict.detect(picture)

        assert seen.faces == ()
        assert [(each.box, each.reason) for each in seen.rejected] == [(face.detection.box, reason)]


def test_it_is_healthy_while_all_of_its_models_take_work() -> None:
    engine = FaceEngine(CONFIG)
    assert not engine.is_healthy
    engine.open()
    assert engine.is_healthy

    engine.pack.models[0].close()

    assert not engine.is_healthy
    engine.close()


# -- a pack whose crops are not ArcFace's --

TEMPLATE = np.array([[45, 44], [101, 44], [73, 76], [48, 101], [99, 101]], np.float32)
#: Where the face's landmarks are in the picture: three times as large as in the crop, and moved.
LANDMARKS = (TEMPLATE * 3 + (160, 90)).astype(np.float32)
GREYS = (40, 80, 120, 160, 200)


def marked_picture() -> Image:
    """Return a white picture with a dark disc of its own grey on each landmark."""
    picture = np.full((600, 800, 3), 255, np.uint8)
    for (x, y), grey in zip(LANDMARKS.tolist(), GREYS, strict=True):
        cv2.circle(picture, (int(x), int(y)), 20, (grey, grey, grey), -1)
    return picture


class OneFace:
    """A detector that sees the same face in every picture."""

    def __init__(self, score: float) -> None:
        self._found = Detection(box=Box(left=200, top=100, right=500, bottom=400), landmarks=LANDMARKS, score=score)

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [[self._found] for _ in images]

    def warm_up(self) -> None:
        pass


class LandmarkGreys:
    """A recognizer whose embedding is the grey levels where the template has the landmarks, scaled to length 1."""

    dimension = 5

    def __init__(self) -> None:
        self.crops: list[Crop] = []

    def embed(self, crops: Sequence[Crop]) -> Embeddings:
        self.crops += crops
        rows = np.array([[crop[int(y), int(x), 0] for x, y in TEMPLATE] for crop in crops], np.float32).reshape(-1, 5)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def warm_up(self) -> None:
        pass


def pack_of_crops(side_pixels: int = 150, *, interpolation: Interpolation = "halved", score: float = 0.95) -> Pack:
    return Pack(
        name="synthetic",
        fingerprint="f",
        detector_fingerprint="d",
        licence="",
        detector=OneFace(score),
        recognizer=LandmarkGreys(),
        alignment=Alignment(side_pixels=side_pixels, template=TEMPLATE, interpolation=interpolation),
        face_score=0.9,
        enough_pixels=1280,
        similarity=SimilarityScale(0.35),
        match_similarity=0.8,
        providers=(),
    )


def opened(monkeypatch: pytest.MonkeyPatch, pack: Pack, **options: object) -> FaceEngine:
    monkeypatch.setattr(engine_module, "load_pack", lambda config: pack)
    engine = FaceEngine(replace(CONFIG, **options))  # type: ignore[arg-type]
    engine.open()
    return engine


@pytest.mark.parametrize("interpolation", ["bilinear", "halved"])
def test_faces_are_cropped_as_the_pack_says(interpolation: Interpolation, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = pack_of_crops(interpolation=interpolation)
    engine = opened(monkeypatch, pack)

    [[face]] = engine.faces([marked_picture()])

    [crop] = pack.recognizer.crops  # type: ignore[attr-defined]
    assert crop.shape == (150, 150, 3)
    np.testing.assert_allclose(face.embedding, np.array(GREYS) / np.linalg.norm(GREYS), atol=1e-6)
    assert face.box == Box(left=200, top=100, right=500, bottom=400)


def test_quality_is_measured_on_the_packs_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    [large] = opened(monkeypatch, pack_of_crops()).detect(marked_picture()).faces
    # The same face in crops of twice its size: it would have to be magnified.
    [small] = opened(monkeypatch, pack_of_crops(600)).detect(marked_picture()).faces

    assert small.crop.shape == (600, 600, 3)
    assert large.quality > small.quality > 0


def test_the_packs_score_decides_what_a_face_is_unless_another_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    faint = pack_of_crops(score=0.85)

    [rejected] = opened(monkeypatch, faint).detect(marked_picture()).rejected
    assert (rejected.reason, rejected.score) == ("no_face", 0.85)
    assert len(opened(monkeypatch, faint, min_face_score=0.8).detect(marked_picture()).faces) == 1


@pytest.mark.parametrize(("side_pixels", "is_read_whole"), [(150, False), (301, True)])
def test_a_face_smaller_than_the_packs_crop_is_cut_from_the_whole_picture(
    side_pixels: int, is_read_whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(monkeypatch, pack_of_crops(side_pixels))
    whole = cv2.resize(marked_picture(), None, fx=2, fy=2)
    reads: list[Image] = []
    reduction = Reduction(scale=0.5, origin=(0, 0), width=1600, height=1200, whole=lambda: reads.append(whole) or whole)

    [face] = engine.detect(marked_picture(), reduction=reduction).faces

    assert bool(reads) is is_read_whole
    assert face.crop.shape == (side_pixels, side_pixels, 3)
    assert face.detection.box == Box(left=400, top=200, right=1000, bottom=800)


@pytest.mark.parametrize("settings", [{"min_face_score": 1.0}, {"min_face_pixels": 601}])
def test_no_picture_is_read_whole_for_what_is_rejected_without_a_crop(
    settings: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(monkeypatch, pack_of_crops(301), **settings)
    reduction = Reduction(scale=0.5, origin=(0, 0), width=1600, height=1200, whole=lambda: pytest.fail("read whole"))

    found = engine.detect(marked_picture(), reduction=reduction)

    assert (len(found.faces), len(found.rejected)) == (0, 1)


def test_a_pack_says_which_cosine_its_match_similarity_is() -> None:
    assert pack_of_crops().match_cosine == pytest.approx(0.93)
    assert replace(pack_of_crops(), similarity=SimilarityScale()).match_cosine == pytest.approx(0.8)

"""For the same InsightFace pack, the faces are those of `FaceAnalysis.get`: alone, in any company, repaired or not.

The pack is a small one of our own unless FACEQUEUE_TEST_PACK names the folder of a real one.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from insightface.app import FaceAnalysis

from benchmarks.packs import make_pack
from benchmarks.scenes import scene
from tests import pictures
from worker.config import FaceConfig, ImageLimits
from worker.detection import detect_faces
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Face, Image

REAL_PICTURES = ("astronaut", "chelsea", "coffee", "rocket", "six_people", "tom_hanks", "mask_black", "mask_white")
BOX_TOLERANCE_PIXELS = 0.5
LEAST_COSINE = 0.9999


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture and what FaceAnalysis finds in it."""

    image: Image
    faces: list[Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("FACEQUEUE_TEST_PACK")
    return Path(given).resolve() if given else make_pack(tmp_path_factory.mktemp("packs") / "tiny", "tiny")


@pytest.fixture(scope="module")
def analysis(folder: Path) -> Any:
    analysis = FaceAnalysis(name=str(folder), allowed_modules=["detection", "recognition"])
    analysis.prepare(ctx_id=0, det_size=(640, 640))
    return analysis


@pytest.fixture(scope="module", params=[True, False], ids=["repaired", "untouched"])
def engine(folder: Path, request: pytest.FixtureRequest) -> Any:
    engine = FaceEngine(FaceConfig(packs_dir=folder.parent, pack=str(folder), repair_graphs=request.param))
    engine.open()
    yield engine
    engine.close()


@pytest.fixture(scope="module", params=[40, pytest.param(200, marks=pytest.mark.long)])
def scenes(analysis: Any, request: pytest.FixtureRequest) -> list[Reference]:
    sizes, most = [(1280, 886), (640, 640), (600, 900), (320, 240)], [30, 20, 12, 8]
    return [
        _reference(analysis, scene(faces=number % (most[number % 4] + 1), size=sizes[number % 4], seed=number)[0])
        for number in range(request.param)
    ]


@pytest.fixture(scope="module")
def photographs(analysis: Any) -> list[Reference]:
    """The real pictures, as they are and with planted faces: only a real pack finds the real ones."""
    real = [pictures.sample(name) for name in REAL_PICTURES]
    planted = [scene(faces=3, background=image, seed=number)[0] for number, image in enumerate(real)]
    return [_reference(analysis, image) for image in [*real, *planted]]


def _reference(analysis: Any, image: Image) -> Reference:
    return Reference(image, analysis.get(image))


def in_one_thread(work: Callable[[Image], list[Face]], images: Sequence[Image]) -> list[list[Face]]:
    return [work(image) for image in images]


def in_sixteen_threads(work: Callable[[Image], list[Face]], images: Sequence[Image]) -> list[list[Face]]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(work, images))


@pytest.mark.parametrize("run", [in_one_thread, in_sixteen_threads])
def test_the_faces_of_scenes_are_those_of_insightface(
    engine: FaceEngine, scenes: list[Reference], run: Callable[..., list[list[Face]]]
) -> None:
    found = run(lambda image: engine.faces([image])[0], [each.image for each in scenes])

    assert sum(len(each.faces) for each in scenes) > 5 * len(scenes)
    for faces, reference in zip(found, scenes, strict=True):
        assert_same(faces, reference)


def test_the_faces_of_photographs_are_those_of_insightface(engine: FaceEngine, photographs: list[Reference]) -> None:
    found = engine.faces([each.image for each in photographs])

    assert sum(len(each.faces) for each in photographs) >= 3 * len(REAL_PICTURES)
    for faces, reference in zip(found, photographs, strict=True):
        assert_same(faces, reference)


def assert_same(faces: Sequence[Face], reference: Reference) -> None:
    height, width = reference.image.shape[:2]
    assert len(faces) == len(reference.faces)
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    boxes = np.array([[face.box.left, face.box.top, face.box.right, face.box.bottom] for face in faces])
    for theirs in reference.faces:
        inside = np.clip(theirs.bbox, 0, (width, height, width, height))
        # Not by their order: faces of equal scores may change places with the last digit of a sum.
        differences = np.abs(boxes - inside).max(axis=1)
        ours = faces[int(differences.argmin())]
        assert differences.min() <= BOX_TOLERANCE_PIXELS
        assert np.abs(ours.landmarks - theirs.kps).max() <= BOX_TOLERANCE_PIXELS
        assert ours.score == pytest.approx(float(theirs.det_score), abs=1e-4)
        assert float(ours.embedding @ theirs.normed_embedding) >= LEAST_COSINE


def test_faces_that_are_located_are_cut_from_a_reduced_picture_as_those_that_are_found(engine: FaceEngine) -> None:
    image, _ = scene(faces=6, size=(2560, 1772), seed=5)
    data = pictures.saved(image, "JPEG", quality=95)
    reduced = FaceEngine(replace(engine.config, reduced_decoding=True))
    reduced._pack = engine.pack
    _, found = detect_faces(reduced, data, limits=ImageLimits())

    _, cut = detect_faces(reduced, data, limits=ImageLimits(), located=[face.detection for face in found.faces])

    assert len(cut.faces) == 6
    embeddings = [[face.embedding for [face] in engine.embed([[each] for each in seen.faces])] for seen in (found, cut)]
    assert float(np.sum(np.multiply(*embeddings), axis=1).min()) > 0.9999
    assert [face.detection.box for face in cut.faces] == [face.detection.box for face in found.faces]


def test_a_reduced_picture_gives_the_same_faces_in_the_same_places(engine: FaceEngine) -> None:
    """Boxes agree within a reduced pixel; faces too small for a crop are cut from the whole picture."""
    image, _ = scene(faces=6, size=(2560, 1772), seed=5)
    data = pictures.saved(image, "JPEG", quality=95)
    reduced = FaceEngine(replace(engine.config, reduced_decoding=True))
    reduced._pack = engine.pack

    _, whole = detect_faces(engine, data, limits=ImageLimits())
    picture, half = detect_faces(reduced, data, limits=ImageLimits())

    assert picture.scale == 1 / 4
    assert (picture.width, picture.height) == (2560, 1772)
    assert len(whole.faces) == len(half.faces) == 6
    for one, [described] in zip(whole.faces, engine.embed([[face] for face in whole.faces]), strict=True):
        other = max(half.faces, key=lambda face: face.detection.box.overlap(one.detection.box))
        [[again]] = engine.embed([[other]])
        assert other.detection.box.overlap(one.detection.box) > 0.9
        assert np.abs(other.detection.landmarks - one.detection.landmarks).max() < 8
        assert float(described.embedding @ again.embedding) > 0.9

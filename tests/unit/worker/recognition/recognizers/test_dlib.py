"""The embeddings of the dlib packs: unit vectors, each crop's own, mirrored or not."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from tests.unit.worker.recognition.sample_faces import PACKS, opened, sample_pictures
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Crop


@pytest.fixture(scope="module", params=PACKS)
def engine(request: pytest.FixtureRequest) -> Iterator[FaceEngine]:
    engine = opened(request.param)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def crops(engine: FaceEngine) -> list[Crop]:
    """Eleven faces, and three crops that show none."""
    noise = np.random.default_rng(1).integers(0, 256, (150, 150, 3)).astype(np.uint8)
    faces = [face.crop for picture in sample_pictures().values() for face in engine.detect(picture).faces]
    return [*faces[:11], np.zeros((150, 150, 3), np.uint8), np.full((150, 150, 3), 255, np.uint8), noise]


def test_embeddings_are_unit_vectors(engine: FaceEngine, crops: list[Crop]) -> None:
    embeddings = engine.pack.recognizer.embed(crops)

    assert embeddings.dtype == np.float32
    assert embeddings.shape == (len(crops), 128)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 14])
def test_an_embedding_does_not_depend_on_its_neighbours(engine: FaceEngine, crops: list[Crop], count: int) -> None:
    recognizer = engine.pack.recognizer
    together = recognizer.embed(crops[:count])
    backwards = recognizer.embed(crops[:count][::-1])[::-1]

    for crop, row, other in zip(crops[:count], together, backwards, strict=True):
        [alone] = recognizer.embed([crop])
        np.testing.assert_allclose(row, alone, atol=1e-5)
        np.testing.assert_allclose(other, alone, atol=1e-5)


def test_no_crop_gives_no_embedding(engine: FaceEngine) -> None:
    embeddings = engine.pack.recognizer.embed([])

    assert embeddings.shape == (0, 128)
    assert embeddings.dtype == np.float32


def test_a_mirrored_embedding_is_that_of_the_mirror_image(engine: FaceEngine, crops: list[Crop]) -> None:
    recognizer = engine.pack.recognizer
    faces = crops[:11]

    cosines = np.sum(recognizer.embed(faces) * recognizer.embed([cv2.flip(face, 1) for face in faces]), axis=1)

    if engine.pack.name == "dlib":
        assert cosines.min() > 0.99999
    else:
        assert cosines.max() < 0.9999, "without mirroring left and right differ"


@pytest.mark.parametrize("engine", ["dlib"], indirect=True)
def test_mirrored_is_the_direction_of_the_mean_of_both(engine: FaceEngine, crops: list[Crop]) -> None:
    *_, model = engine.pack.models
    for crop in crops[:3]:
        [[one], [other]] = model.run([crop, np.ascontiguousarray(crop[:, ::-1])])  # type: ignore[attr-defined]
        mean = (one + other) / 2

        [embedding] = engine.pack.recognizer.embed([crop])

        np.testing.assert_allclose(embedding, mean / np.linalg.norm(mean), atol=1e-5)

"""In real pictures the dlib packs find the stored faces: alone and in any company, repaired or not."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.unit.worker.recognition.sample_faces import PACKS, STORED, Floats, in_arrays, opened, sample_pictures
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Face, Image

TOLERANCE_PIXELS = 1.0
LEAST_COSINE = 0.9999
THREADS = 16


@pytest.fixture(scope="module")
def samples() -> dict[str, Image]:
    return sample_pictures()


@pytest.fixture(scope="module")
def stored() -> dict[str, Floats]:
    with np.load(STORED, allow_pickle=False) as kept:
        return dict(kept)


@pytest.fixture(scope="module", params=[True, False], ids=["repaired", "untouched"])
def repairs(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module", params=PACKS)
def engine(request: pytest.FixtureRequest, repairs: bool) -> Iterator[FaceEngine]:
    engine = opened(request.param, repair_graphs=repairs)
    yield engine
    engine.close()


def alone(engine: FaceEngine, images: Sequence[Image]) -> list[list[Face]]:
    """One picture after another, and each of its faces by itself."""
    found = [engine.detect(image).faces for image in images]
    return [[engine.embed([[face]])[0][0] for face in faces] for faces in found]


def on_one_thread(engine: FaceEngine, images: Sequence[Image]) -> list[list[Face]]:
    return [engine.faces([image])[0] for image in images]


def on_many_threads(engine: FaceEngine, images: Sequence[Image]) -> list[list[Face]]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda image: engine.faces([image])[0], images))


def together(engine: FaceEngine, images: Sequence[Image]) -> list[list[Face]]:
    """All pictures in one call of the detector, and all faces in one call of the recognizer."""
    pack = engine.pack
    found = pack.detector.detect(images)
    certain = [[each for each in faces if each.score >= pack.face_score] for faces in found]
    return engine.embed([engine.align(*each).faces for each in zip(images, certain, strict=True)])


@pytest.mark.parametrize("look", [alone, on_one_thread, on_many_threads, together])
def test_the_faces_are_the_stored_ones(
    look: Callable[..., list[list[Face]]], engine: FaceEngine, samples: dict[str, Image], stored: dict[str, Floats]
) -> None:
    # Twice for many threads, so that each has something to do, and pictures are seen by two at once.
    names = [*samples] * (2 if look is on_many_threads else 1)

    found = look(engine, [samples[name] for name in names])

    for name, faces in zip(names, found, strict=True):
        assert_stored(engine.pack.name, name, faces, stored)


def assert_stored(pack: str, name: str, faces: Sequence[Face], stored: dict[str, Floats]) -> None:
    boxes, landmarks, embeddings = in_arrays(faces)
    expected = stored[f"{name} boxes"]
    assert len(faces) == len(expected) > 0, name
    # Not by their order: faces of almost equal scores may change places.
    rows = [int(np.abs(boxes - box).max(axis=1).argmin()) for box in expected]
    assert np.abs(boxes[rows] - expected).max() <= TOLERANCE_PIXELS, name
    assert np.abs(landmarks[rows] - stored[f"{name} landmarks"]).max() <= TOLERANCE_PIXELS, name
    assert np.sum(embeddings[rows] * stored[f"{name} {pack}"], axis=1).min() >= LEAST_COSINE, name


@pytest.mark.parametrize("repairs", [True], ids=["repaired"], indirect=True)
def test_photos_of_one_person_match_and_no_others_do(engine: FaceEngine, stored: dict[str, Floats]) -> None:
    of_pack = {key.split(" ")[0]: faces for key, faces in stored.items() if key.endswith(f" {engine.pack.name}")}
    of_one = np.concatenate([faces for name, faces in of_pack.items() if name.startswith("obama")])
    of_others = np.concatenate([faces for name, faces in of_pack.items() if not name.startswith("obama")])

    assert len(of_one) == 5
    assert len(of_others) == 9
    assert (of_one @ of_one.T).min() > engine.pack.match_cosine
    assert (of_one @ of_others.T).max() < engine.pack.match_cosine

"""MTCNN finds what the published algorithm finds, at the sizes asked for, whatever the picture and its company."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.worker.recognition.detectors.slow_mtcnn import slow_faces
from tests.unit.worker.recognition.sample_faces import opened, sample_pictures
from tests.waiting import eventually
from worker.recognition.detectors import mtcnn
from worker.recognition.detectors.mtcnn import FEW_SIDES_PIXELS, MtcnnDetector
from worker.recognition.engine import FaceEngine
from worker.recognition.interfaces import Box, Detection, Image
from worker.recognition.model import OnnxModel

PATIENCE_SECONDS: Final = 60
#: The pack's score for a face.
CERTAIN: Final = 0.9
FAINTEST: Final = 0.3
#: The astronaut's face, seen from the front, in her picture: left, top, right, bottom in pixels.
FACE: Final = (182, 68, 267, 180)

MakeDetector = Callable[..., MtcnnDetector]


class Watched:
    """A session that remembers the shape of each batch; runs wait for `gate` when there is one."""

    def __init__(self, session: Any, gate: threading.Semaphore | None = None) -> None:
        self._session, self._gate = session, gate
        self.batches: list[tuple[int, ...]] = []

    def run(self, names: Any, inputs: dict[str, NDArray[Any]]) -> Any:
        self.batches += [batch.shape for batch in inputs.values()]
        if self._gate is not None:
            assert self._gate.acquire(timeout=PATIENCE_SECONDS)
        return self._session.run(names, inputs)

    @property
    def items(self) -> int:
        return sum(batch[0] for batch in self.batches)


@pytest.fixture(scope="module")
def samples() -> dict[str, Image]:
    return sample_pictures()


@pytest.fixture(scope="module")
def engine() -> Iterator[FaceEngine]:
    """The networks, with one run at a time, so that waiting candidates collect."""
    engine = opened("dlib", threads_per_run=1, runs_at_once=1)
    yield engine
    engine.close()


@pytest.fixture
def models(engine: FaceEngine) -> tuple[OnnxModel, ...]:
    proposal, refinement, output, _ = engine.pack.models
    assert all(isinstance(model, OnnxModel) for model in (proposal, refinement, output))
    return proposal, refinement, output  # type: ignore[return-value]


@pytest.fixture
def make(models: tuple[OnnxModel, ...]) -> MakeDetector:
    def make(**settings: Any) -> MtcnnDetector:
        usual = {"smallest_face_pixels": 40, "longest_side_pixels": 1280, "faintest_score": FAINTEST}
        return MtcnnDetector(*models, **(usual | {"few_sizes": False} | settings))

    return make


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    def watch(model: OnnxModel, gate: threading.Semaphore | None = None) -> Watched:
        watched = Watched(model._session, gate)
        monkeypatch.setattr(model, "_session", watched)
        monkeypatch.setattr(model, "_wide_session", watched)
        return watched

    return watch


def certain(faces: Sequence[Detection]) -> list[Detection]:
    return [face for face in faces if face.score >= CERTAIN]


def in_numbers(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom


def assert_same(found: Sequence[Detection], expected: Sequence[Detection], *, pixels: float) -> None:
    assert len(found) == len(expected)
    boxes = np.array([in_numbers(face.box) for face in found])
    for face in expected:
        differences = np.abs(boxes - in_numbers(face.box)).max(axis=1)
        assert differences.min() <= pixels
        other = found[int(differences.argmin())]
        assert np.abs(other.landmarks - face.landmarks).max() <= pixels


# The algorithm.


@pytest.mark.parametrize("name", ["astronaut", "six_people", "tom_hanks", "biden"])
@pytest.mark.parametrize("smallest_face", [40, 25])
def test_each_step_does_what_the_published_one_does(
    name: str,
    smallest_face: int,
    make: MakeDetector,
    models: tuple[OnnxModel, ...],
    samples: dict[str, Image],
    watch: Callable[..., Watched],
) -> None:
    picture = samples[name]
    if max(picture.shape) > 640:
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    expected = slow_faces(
        picture,
        [lambda item, model=model: model.run([item])[0] for model in models],
        smallest_face=smallest_face,
        faintest=FAINTEST,
    )
    refinement, output = watch(models[1]), watch(models[2])

    [found] = make(smallest_face_pixels=smallest_face).detect([picture])

    assert expected.faces, "or there is nothing to compare"
    assert (refinement.items, output.items) == (expected.refined, expected.looked_at)
    assert len(found) == len(expected.faces)
    height, width = picture.shape[:2]
    for ours, theirs in zip(found, expected.faces, strict=True):
        box = np.clip((theirs.x1 - 1, theirs.y1 - 1, theirs.x2, theirs.y2), 0, (width, height, width, height))
        np.testing.assert_allclose(in_numbers(ours.box), box, rtol=0, atol=0.05)
        np.testing.assert_allclose(ours.landmarks, theirs.points, rtol=0, atol=0.05)
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)


def test_scores_are_shares_and_the_best_comes_first(make: MakeDetector, samples: dict[str, Image]) -> None:
    for faces in make(faintest_score=0.0).detect(list(samples.values())):
        scores = [face.score for face in faces]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)


def test_faint_faces_are_left_out(make: MakeDetector, samples: dict[str, Image]) -> None:
    [all_of_them] = make(faintest_score=0.0).detect([samples["six_people"]])
    [strong] = make(faintest_score=0.95).detect([samples["six_people"]])

    assert len(strong) < len(all_of_them)
    assert [face.score for face in strong] == [face.score for face in all_of_them if face.score >= 0.95]


# Sizes.


def astronaut_with_face_of(side_pixels: float, samples: dict[str, Image]) -> Image:
    """Return her picture, resized so that the longer side of her face has so many pixels."""
    scale = side_pixels / (FACE[3] - FACE[1])
    return cv2.resize(samples["astronaut"], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("smallest_face", [20, 40, 80])
def test_faces_are_looked_for_from_the_smallest_size_on(
    smallest_face: int, make: MakeDetector, samples: dict[str, Image]
) -> None:
    detector = make(smallest_face_pixels=smallest_face)
    large, small = (astronaut_with_face_of(share * smallest_face, samples) for share in (1.0, 0.5))

    assert len(certain(detector.detect([large])[0])) == 1
    assert certain(detector.detect([small])[0]) == []


@pytest.mark.parametrize(("longest_side", "is_found"), [(1600, True), (500, False)])
def test_a_larger_picture_is_shrunk_to_the_longest_side_first(
    longest_side: int, is_found: bool, make: MakeDetector, samples: dict[str, Image]
) -> None:
    picture = np.full((1000, 1600, 3), 90, np.uint8)
    small = astronaut_with_face_of(50, samples)
    picture[300 : 300 + small.shape[0], 900 : 900 + small.shape[1]] = small

    found = certain(make(longest_side_pixels=longest_side).detect([picture])[0])

    assert len(found) == int(is_found)
    scale = 50 / (FACE[3] - FACE[1])
    expected = Box(
        left=900 + scale * FACE[0], top=300 + scale * FACE[1], right=900 + scale * FACE[2], bottom=300 + scale * FACE[3]
    )
    assert all(face.box.overlap(expected) > 0.7 for face in found)


def test_of_a_shrunk_picture_faces_are_where_they_are_in_the_whole_one(
    make: MakeDetector, samples: dict[str, Image]
) -> None:
    whole = samples["six_people"]

    [found] = make(longest_side_pixels=1280).detect([whole])
    [in_shrunk] = make(longest_side_pixels=900).detect([whole])

    assert len(certain(in_shrunk)) == len(certain(found)) == 6
    for face in certain(found):
        assert max(face.box.overlap(other.box) for other in certain(in_shrunk)) > 0.85


@pytest.mark.parametrize("few_sizes", [True, False])
@pytest.mark.parametrize(
    "size",
    [
        (1, 1),
        (1, 3000),
        (3000, 1),
        (2, 65_000),
        (11, 11),
        (12, 12),
        (12, 640),
        (640, 12),
        (26, 27),
        (27, 26),
        (7, 1281),
    ],
)
def test_in_a_picture_of_any_shape_without_a_face_there_is_none(
    size: tuple[int, int], few_sizes: bool, make: MakeDetector
) -> None:
    blank = [np.full((*size, 3), grey, np.uint8) for grey in (0, 128, 255)]

    assert make(few_sizes=few_sizes).detect(blank) == [[], [], []]


def test_no_picture_has_no_faces(make: MakeDetector) -> None:
    assert make().detect([]) == []


# On a GPU.


def test_few_sizes_find_the_same_faces(
    make: MakeDetector, models: tuple[OnnxModel, ...], samples: dict[str, Image], watch: Callable[..., Watched]
) -> None:
    images = list(samples.values())
    expected = make().detect(images)
    proposal = watch(models[0])

    found = make(few_sizes=True).detect(images)

    assert {side for batch in proposal.batches for side in batch[1:3]} <= set(FEW_SIDES_PIXELS)
    for faces, others in zip(found, expected, strict=True):
        assert_same(certain(faces), certain(others), pixels=1)


def test_every_few_size_is_warmed_up(
    make: MakeDetector, models: tuple[OnnxModel, ...], watch: Callable[..., Watched]
) -> None:
    proposal = watch(models[0])

    make(few_sizes=True).warm_up()

    assert {batch[1:3] for batch in proposal.batches} == {(side, side) for side in FEW_SIDES_PIXELS}


# Edges.


@pytest.mark.parametrize("edge", ["left", "top", "right", "bottom"])
def test_a_face_that_an_edge_cuts_is_found(edge: str, make: MakeDetector, samples: dict[str, Image]) -> None:
    left, top, right, bottom = FACE
    across, down = (right - left) // 5, (bottom - top) // 5
    part = {
        "left": np.s_[:, left + across :],
        "top": np.s_[top + down :, :],
        "right": np.s_[:, : right - across],
        "bottom": np.s_[: bottom - down, :],
    }[edge]
    cut = np.ascontiguousarray(samples["astronaut"][part])
    x, y = (left + across if edge == "left" else 0), (top + down if edge == "top" else 0)
    seen = Box(
        left=max(0, left - x),
        top=max(0, top - y),
        right=min(cut.shape[1], right - x),
        bottom=min(cut.shape[0], bottom - y),
    )

    found = certain(make().detect([cut])[0])

    assert len(found) == 1
    assert found[0].box.overlap(seen) > 0.6


def test_boxes_lie_inside_their_picture(make: MakeDetector, samples: dict[str, Image]) -> None:
    random = np.random.default_rng(1)
    whole = samples["six_people"]
    cuts = []
    for _ in range(12):
        y, x = random.integers(0, whole.shape[0] - 200), random.integers(0, whole.shape[1] - 200)
        cuts.append(np.ascontiguousarray(whole[y : y + 200, x : x + 200]))

    found = make(faintest_score=0.0).detect(cuts)

    assert sum(map(len, found)) >= 6
    for face in (face for faces in found for face in faces):
        left, top, right, bottom = in_numbers(face.box)
        assert 0 <= left < right <= 200
        assert 0 <= top < bottom <= 200
        assert np.isfinite(face.landmarks).all()


# Company.


def test_callers_share_the_runs_of_the_second_and_third_network(
    make: MakeDetector, models: tuple[OnnxModel, ...], samples: dict[str, Image], watch: Callable[..., Watched]
) -> None:
    detector = make()
    _, refinement, output = models
    with pytest.MonkeyPatch.context() as patch:
        lone = []
        for model in (refinement, output):
            lone.append(Watched(model._session))
            patch.setattr(model, "_session", lone[-1])
            patch.setattr(model, "_wide_session", lone[-1])
        [alone] = detector.detect([samples["biden"]])
    candidates, squares = lone[0].items, lone[1].items
    first_gate, second_gate = threading.Semaphore(0), threading.Semaphore(0)
    refined, looked_at = watch(refinement, first_gate), watch(output, second_gate)

    callers = 4
    with ThreadPoolExecutor(callers) as pool:
        found = [pool.submit(detector.detect, [samples["biden"]]) for _ in range(callers)]
        # The first run has begun; it holds back some candidates of the first callers, and all others wait.
        eventually(lambda: bool(refined.batches), "the first runner holds candidates")
        eventually(
            lambda: refinement._batcher.waiting + refined.items == callers * candidates,
            "every caller's candidates wait",
        )
        first_gate.release(1000)
        eventually(lambda: bool(looked_at.batches), "the first runner holds squares")
        eventually(
            lambda: output._batcher.waiting + looked_at.items == callers * squares, "every caller's squares wait"
        )
        second_gate.release(1000)
        answers = [each.result(PATIENCE_SECONDS) for each in found]

    assert max(batch[0] for batch in refined.batches[1:]) > candidates
    assert max(batch[0] for batch in looked_at.batches[1:]) > squares
    for [faces] in answers:
        assert_same(faces, alone, pixels=0.01)


# Crowds.


def tiled(side_pixels: int, count: int, samples: dict[str, Image]) -> Image:
    """Return a picture of count x count faces, each of them in a tile of that side."""
    left, top, right, bottom = FACE
    middle = (left + right) // 2
    half = (bottom - top) // 2 + 8
    face = samples["astronaut"][top - 8 : bottom + 8, middle - half : middle + half]
    tile = cv2.resize(face, (side_pixels, side_pixels), interpolation=cv2.INTER_AREA)
    return np.tile(tile, (count, count, 1))


def test_every_face_of_a_crowd_of_400_is_found(make: MakeDetector, samples: dict[str, Image]) -> None:
    assert len(certain(make().detect([tiled(64, 20, samples)])[0])) == 400


def test_of_too_many_candidates_those_with_the_best_scores_are_looked_at(
    make: MakeDetector,
    models: tuple[OnnxModel, ...],
    samples: dict[str, Image],
    watch: Callable[..., Watched],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd, portrait = tiled(64, 5, samples), samples["astronaut"]
    detector = make()
    [of_crowd], [of_portrait] = detector.detect([crowd]), detector.detect([portrait])
    monkeypatch.setattr(mtcnn, "_MOST_PLACES", 200)
    monkeypatch.setattr(mtcnn, "_MOST_CANDIDATES", 20)
    refinement = watch(models[1])

    few, same, few_again = detector.detect([crowd, portrait, crowd])

    assert refinement.items <= 3 * 20
    assert 5 < len(few) <= 20 < len(of_crowd)
    assert_same(few_again, few, pixels=0.01)
    assert_same(same, of_portrait, pixels=0.01)

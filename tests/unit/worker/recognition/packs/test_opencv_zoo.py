"""OpenCV Zoo's pack sees and says what OpenCV's own classes do with the very same files."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests import pictures
from tests.unit.worker.recognition.synthetic_packs import detector_graph
from tests.unit.worker.recognition.zoo_graphs import (
    DETECTOR,
    DIMENSION,
    RECOGNIZER,
    make_zoo_pack,
    sface_graph,
    yunet_graph,
)
from worker.config import FaceConfig
from worker.errors import PackDamaged
from worker.recognition.alignment import aligned_crop
from worker.recognition.detectors.letterbox import letterboxed
from worker.recognition.interfaces import Detection, Image, Pack
from worker.recognition.packs.loading import load_pack

#: The detector hands on what it is at least so sure of; the engine applies the thresholds that are set.
LOWEST_SCORE = 0.3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo pack under a name of its own: the catalogue's name stands for the published files."""
    return make_zoo_pack(tmp_path_factory.mktemp("packs") / "zoo")


@pytest.fixture(scope="module")
def pack(folder: Path) -> Iterator[Pack]:
    loaded = load_pack(FaceConfig(packs_dir=folder.parent, pack="zoo", min_face_score=LOWEST_SCORE))
    yield loaded
    for model in loaded.models:
        model.close()


def scene(seed: int, height: int = 640, width: int = 640, faces: int = 6) -> Image:
    """Return dark noise with some patches of brightly blue noise, of several sizes and shades."""
    random = np.random.RandomState(seed)
    image = random.randint(0, 120, (height, width, 3))
    for _ in range(faces):
        side = int(random.choice([24, 48, 80]))
        top, left = random.randint(0, height - side), random.randint(0, width - side)
        shade = (230, *random.randint(60, 200, 2))
        image[top : top + side, left : left + side] = shade + random.randint(-60, 60, (side, side, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def as_opencv_sees(folder: Path, image: Image) -> NDArray[np.float32]:
    """Return what `FaceDetectorYN` answers for a square picture: x, y, w, h, five points, score; best first."""
    height, width = image.shape[:2]
    detector = cv2.FaceDetectorYN.create(str(folder / DETECTOR), "", (width, height), LOWEST_SCORE, 0.3, 5000)
    _, rows = detector.detect(image)
    return np.empty((0, 15), np.float32) if rows is None else rows


def assert_same_faces(found: list[Detection], expected: NDArray[np.float32], image: Image, scale: float = 1) -> int:
    """Assert that each of OpenCV's faces has its detection within half a pixel; return how many there are.

    Ours end at the picture's edges, so a box that lies outside is none.
    """
    height, width = image.shape[:2]
    corners = np.concatenate([expected[:, :2], expected[:, :2] + expected[:, 2:4]], axis=1) / scale
    corners = np.clip(corners, 0, (width, height, width, height))
    is_inside = (corners[:, 0] < corners[:, 2]) & (corners[:, 1] < corners[:, 3])
    landmarks = expected[:, 4:14].reshape(-1, 5, 2) / scale
    assert len(found) == np.count_nonzero(is_inside)
    places = np.stack([face.landmarks for face in found])
    for box, points, score in zip(corners[is_inside], landmarks[is_inside], expected[is_inside, 14], strict=True):
        # By place, not by rank: two scores may differ by less than two runtimes do.
        face = found[int(np.abs(places - points).max(axis=(1, 2)).argmin())]
        assert (face.box.left, face.box.top, face.box.right, face.box.bottom) == pytest.approx(box, abs=0.5)
        np.testing.assert_allclose(face.landmarks, points, atol=0.5)
        assert face.score == pytest.approx(score, abs=1e-4)
    return len(found)


def test_faces_are_those_that_opencv_finds_with_the_same_file(pack: Pack, folder: Path) -> None:
    scenes = [scene(seed) for seed in range(12)]

    found = pack.detector.detect(scenes)

    faces = sum(
        assert_same_faces(each, as_opencv_sees(folder, image), image) for each, image in zip(found, scenes, strict=True)
    )
    assert faces > 100


@pytest.mark.parametrize(("height", "width"), [(320, 480), (900, 1280), (1300, 700)])
def test_boxes_are_in_pixels_of_the_picture_whatever_its_size(
    pack: Pack, folder: Path, height: int, width: int
) -> None:
    image = scene(11, height, width)
    boxed = letterboxed(image, 640)
    assert boxed is not None

    [found] = pack.detector.detect([image])

    assert assert_same_faces(found, as_opencv_sees(folder, boxed.pixels), image, boxed.scale) > 2


def test_boxes_lie_inside_their_picture_and_the_best_score_comes_first(pack: Pack) -> None:
    image = scene(1)
    image[:60, :60] = image[-60:, -60:] = (255, 0, 0)

    [found] = pack.detector.detect([image])

    for face in found:
        assert 0 <= face.box.left < face.box.right <= 640
        assert 0 <= face.box.top < face.box.bottom <= 640
    assert [face.score for face in found] == sorted((face.score for face in found), reverse=True)


def test_a_file_that_leaves_the_size_and_the_batch_open_finds_the_same(pack: Pack, tmp_path: Path) -> None:
    make_zoo_pack(tmp_path / "open", side="any", batch="n")
    opened = load_pack(FaceConfig(packs_dir=tmp_path, pack="open", min_face_score=LOWEST_SCORE))
    scenes = [scene(seed) for seed in (21, 22, 23)]

    for one, other in zip(pack.detector.detect(scenes), opened.detector.detect(scenes), strict=True):
        assert len(one) == len(other) > 0
        for face, same in zip(one, other, strict=True):
            np.testing.assert_allclose(face.landmarks, same.landmarks, atol=1e-2)

    crops = pictures.lfw_crops()[:5]
    np.testing.assert_allclose(pack.recognizer.embed(crops), opened.recognizer.embed(crops), atol=1e-5)
    for model in opened.models:
        model.close()


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (3, 5000)])
def test_a_picture_of_any_shape_is_looked_at_without_error(pack: Pack, shape: tuple[int, int]) -> None:
    assert len(pack.detector.detect([np.zeros((*shape, 3), np.uint8)])) == 1


def test_the_viewers_left_eye_comes_first(pack: Pack, folder: Path) -> None:
    """OpenCV calls the first point the right eye: the person's, which a viewer sees on the left."""
    image = scene(2)
    [row, *_] = as_opencv_sees(folder, image)

    nearest = min(pack.detector.detect([image])[0], key=lambda face: float(np.abs(face.landmarks[0] - row[4:6]).sum()))

    np.testing.assert_allclose(nearest.landmarks[0], row[4:6], atol=0.5)


def test_embeddings_are_those_that_opencv_makes_of_the_same_crop(pack: Pack, folder: Path) -> None:
    recognizer = cv2.FaceRecognizerSF.create(str(folder / RECOGNIZER), "")
    crops = pictures.lfw_crops()[:20]

    embeddings = pack.recognizer.embed(crops)

    assert embeddings.shape == (20, DIMENSION) == (20, pack.dimension)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    for crop, embedding in zip(crops, embeddings, strict=True):
        feature = recognizer.feature(crop).ravel()
        assert float(embedding @ feature / np.linalg.norm(feature)) >= 0.9999


def test_a_face_is_aligned_as_opencv_aligns_it(folder: Path, pack: Pack) -> None:
    recognizer = cv2.FaceRecognizerSF.create(str(folder / RECOGNIZER), "")
    picture = pictures.sample("astronaut")
    landmarks = np.array([[200, 100], [246, 102], [221, 131], [205, 150], [243, 152]], np.float32)
    row = np.concatenate([[180, 60, 90, 120], landmarks.ravel(), [0.9]]).astype(np.float32)

    crop = aligned_crop(picture, landmarks, pack.alignment)

    difference = cv2.absdiff(crop, recognizer.alignCrop(picture, row[None]))
    assert difference.mean() < 1


def test_the_pack_says_what_a_gallery_must_know(pack: Pack) -> None:
    assert pack.match_similarity == 0.363
    assert pack.dimension == 128
    assert "commercial use" in pack.licence
    assert pack.warning == ""
    assert pack.providers == ("CPUExecutionProvider",)
    assert len(pack.models) == 2


@pytest.mark.parametrize("name", [DETECTOR, RECOGNIZER])
@pytest.mark.parametrize("content", [b"", b"no onnx at all"], ids=["empty", "text"])
def test_an_unreadable_file_is_a_damaged_pack(tmp_path: Path, name: str, content: bytes) -> None:
    (make_zoo_pack(tmp_path / "zoo") / name).write_bytes(content)

    with pytest.raises(PackDamaged, match=name):
        load_pack(FaceConfig(packs_dir=tmp_path, pack="zoo"))


@pytest.mark.parametrize(
    ("name", "graph"),
    [
        pytest.param(DETECTOR, detector_graph(), id="another detector"),
        pytest.param(DETECTOR, sface_graph(), id="a recognizer"),
        pytest.param(DETECTOR, yunet_graph(side=100), id="a size that is no multiple of 32"),
        pytest.param(RECOGNIZER, yunet_graph(), id="a detector for the recognizer"),
    ],
)
def test_another_kind_of_model_is_a_damaged_pack(tmp_path: Path, name: str, graph: bytes) -> None:
    (make_zoo_pack(tmp_path / "zoo") / name).write_bytes(graph)

    with pytest.raises(PackDamaged, match=name):
        load_pack(FaceConfig(packs_dir=tmp_path, pack="zoo"))

"""The packs that need no download: what they find, and what they say of themselves."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import pictures
from worker.config import FaceConfig
from worker.recognition.detectors import cascade
from worker.recognition.interfaces import Box, Detection, Image, Pack
from worker.recognition.packs.loading import load_pack
from worker.recognition.recognizers.gradient import COMPACT, gradient_histogram_graph

GRAPH_SHA256 = "bd0f3af5a2534510f8ac48c7976ac23970ae9ee14aa1a43d266e5b9edb30e816"
FINGERPRINT = "dd9d42e527fdd866d0d91e9c66c59128d7218f6eabc4de0f6dc1aee97e3345f8"
COMPACT_GRAPH_SHA256 = "5008ac66f6c53963c3e4f44a57619689b0218f3c03f6f902c1a0598b03519270"
COMPACT_FINGERPRINT = "bf491b3d125948f9a7f4bed6d1edbea066ba148cc0f71ea26345549ac6adb3ee"
DETECTOR_FINGERPRINT = "dcc68b32a2d3b2f0aa339f1f097eca0b75eedba7a145c05761ccb1e26af1f142"

#: The faces that the cascade finds, roughly, in pixels of the sample.
ASTRONAUT = Box(left=170, top=66, right=276, bottom=172)
FRONTAL_OF_SIX = [
    Box(left=53, top=264, right=183, bottom=394),
    Box(left=444, top=274, right=589, bottom=419),
    Box(left=729, top=358, right=845, bottom=474),
    Box(left=1117, top=278, right=1237, bottom=398),
]


@pytest.fixture(scope="module")
def pack() -> Pack:
    return load_pack(FaceConfig(packs_dir=Path("unused")))


@pytest.fixture(scope="module")
def compact() -> Pack:
    return load_pack(FaceConfig(packs_dir=Path("unused"), pack="starter-compact"))


def confident(pack: Pack, image: Image) -> list[Detection]:
    [found] = pack.detector.detect([image])
    return [face for face in found if face.score >= 0.5]


def test_it_says_what_it_cannot_do(pack: Pack) -> None:
    assert pack.name == "starter"
    assert pack.dimension == 512
    assert "does not recognise a person across years" in pack.warning
    assert pack.warning.count(".") == 1


def test_the_compact_one_is_another_model_with_the_same_detector(pack: Pack, compact: Pack) -> None:
    assert compact.name == "starter-compact"
    assert compact.dimension == 128
    assert compact.warning == pack.warning.replace("starter", "starter-compact")
    assert compact.fingerprint == COMPACT_FINGERPRINT != pack.fingerprint
    assert compact.detector_fingerprint == pack.detector_fingerprint == DETECTOR_FINGERPRINT
    assert hashlib.sha256(gradient_histogram_graph(COMPACT)).hexdigest() == COMPACT_GRAPH_SHA256
    [face] = confident(compact, pictures.sample("astronaut"))
    assert face.box.overlap(ASTRONAUT) > 0.8


def test_its_fingerprint_is_the_same_on_every_machine(pack: Pack) -> None:
    # Changing the graph, the cascade or the detector's version changes what galleries must be filled with:
    # then this test is changed with it, on purpose.
    assert hashlib.sha256(gradient_histogram_graph()).hexdigest() == GRAPH_SHA256
    assert pack.fingerprint == FINGERPRINT


def test_the_one_face_of_the_astronaut_is_found(pack: Pack) -> None:
    [face] = confident(pack, pictures.sample("astronaut"))

    assert face.box.overlap(ASTRONAUT) > 0.8


def test_the_frontal_faces_of_a_group_are_found_best_first(pack: Pack) -> None:
    found = confident(pack, pictures.sample("six_people"))

    assert len(found) == 4
    assert all(max(face.box.overlap(wanted) for face in found) > 0.7 for wanted in FRONTAL_OF_SIX)
    assert [face.score for face in found] == sorted((face.score for face in found), reverse=True)


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket", "mask_black", "mask_green"])
def test_a_picture_without_a_face_has_none(pack: Pack, name: str) -> None:
    assert confident(pack, pictures.sample(name)) == []


def test_a_tightly_cut_portrait_is_found(pack: Pack) -> None:
    assert len(confident(pack, pictures.sample("tom_hanks"))) == 1
    face = pictures.sample("astronaut")[60:180, 165:285]
    assert len(confident(pack, face)) == 1


@pytest.mark.parametrize("degrees", [-15, -8, 8, 15])
def test_landmarks_turn_with_a_tilted_head(pack: Pack, degrees: float) -> None:
    image = pictures.sample("astronaut")[:300, 60:380]
    [face] = confident(pack, pictures.varied(image, degrees=degrees))
    left_eye, right_eye = face.landmarks[0], face.landmarks[1]

    roll = -np.rad2deg(np.arctan2(right_eye[1] - left_eye[1], right_eye[0] - left_eye[0]))

    assert abs(roll - degrees) < 5


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0])
def test_the_box_is_in_pixels_of_the_picture_whatever_its_size(pack: Pack, factor: float) -> None:
    image = cv2.resize(pictures.sample("astronaut"), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    found = confident(pack, image)
    wanted = Box(**{side: getattr(ASTRONAUT, side) * factor for side in ("left", "top", "right", "bottom")})

    assert max(face.box.overlap(wanted) for face in found) > 0.7


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (23, 23), (24, 640), (30, 31)])
@pytest.mark.parametrize("level", [0, 255])
def test_a_picture_of_any_shape_is_looked_at_without_error(pack: Pack, shape: tuple[int, int], level: int) -> None:
    assert confident(pack, np.full((*shape, 3), level, np.uint8)) == []


def test_boxes_lie_inside_their_picture(pack: Pack) -> None:
    for image in (pictures.sample("tom_hanks"), pictures.sample("mask_white")):
        [found] = pack.detector.detect([image])
        for face in found:
            assert 0 <= face.box.left < face.box.right <= image.shape[1]
            assert 0 <= face.box.top < face.box.bottom <= image.shape[0]
            assert 0 < face.score < 1


def test_a_picture_made_to_look_full_of_faces_is_looked_at_in_bounded_time(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cascade, "_MOST_CANDIDATES", 5)
    face = cv2.resize(pictures.sample("astronaut")[55:185, 160:290], (32, 32), interpolation=cv2.INTER_AREA)

    [found] = pack.detector.detect([np.tile(face, (6, 6, 1))])

    assert len(found) == 5


def test_threads_that_share_the_detector_see_what_one_alone_sees(pack: Pack) -> None:
    images = [pictures.sample("astronaut")[:300, 60:380], pictures.sample("tom_hanks")] * 4
    alone = [[(face.box, face.score) for face in found] for found in pack.detector.detect(images[:2])] * 4

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda image: pack.detector.detect([image])[0], images))

    assert [[(face.box, face.score) for face in found] for found in together] == alone


def test_embeddings_are_unit_vectors_in_any_batch(pack: Pack) -> None:
    crops = pictures.lfw_crops()[:70]
    together = pack.recognizer.embed(crops)
    alone = np.concatenate([pack.recognizer.embed([crop]) for crop in crops[:5]])

    assert together.shape == (70, 512)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together[:5], alone, atol=1e-5)
    assert pack.recognizer.embed([]).shape == (0, 512)


@pytest.mark.parametrize("level", [0, 127, 255])
def test_even_a_crop_of_one_colour_has_a_unit_vector(pack: Pack, compact: Pack, level: int) -> None:
    for each in (pack, compact):
        [embedding] = each.recognizer.embed([np.full((112, 112, 3), level, np.uint8)])

        assert embedding.shape == (each.dimension,)
        assert abs(float(np.linalg.norm(embedding)) - 1) < 1e-5

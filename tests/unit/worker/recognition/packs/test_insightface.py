"""An InsightFace folder is run by InsightFace's own code, in batches, at one detector size."""

from pathlib import Path

import numpy as np
import pytest

from tests import pictures
from tests.unit.worker.recognition.synthetic_packs import FIRING_STRIDE, HALF_SIDE_STRIDES, make_pack
from worker.config import FaceConfig
from worker.recognition.interfaces import Image, Pack
from worker.recognition.packs.loading import load_pack


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = make_pack(tmp_path_factory.mktemp("packs") / "small")
    return load_pack(FaceConfig(packs_dir=folder.parent, pack="small"))


def picture_with_faces_at(*corners: tuple[int, int], side: int = 640) -> Image:
    """Return a black square with one white tile, exactly one anchor's, at each corner (x, y)."""
    image = np.zeros((side, side, 3), np.uint8)
    for x, y in corners:
        image[y : y + FIRING_STRIDE, x : x + FIRING_STRIDE] = 255
    return image


def test_faces_are_found_where_the_model_says_with_their_landmarks(pack: Pack) -> None:
    [found] = pack.detector.detect([picture_with_faces_at((320, 160))])

    [face] = found
    reach = FIRING_STRIDE * HALF_SIDE_STRIDES
    assert (face.box.left, face.box.top) == pytest.approx((320 - reach, 160 - reach))
    assert (face.box.right, face.box.bottom) == pytest.approx((320 + reach, 160 + reach))
    assert 0.8 < face.score <= 1
    assert face.landmarks.shape == (5, 2)
    assert face.landmarks.dtype == np.float32


def test_boxes_lie_inside_their_picture(pack: Pack) -> None:
    [found] = pack.detector.detect([picture_with_faces_at((0, 0), (624, 624))])

    assert len(found) == 2
    for face in found:
        assert 0 <= face.box.left < face.box.right <= 640
        assert 0 <= face.box.top < face.box.bottom <= 640


def test_boxes_are_in_pixels_of_the_picture_whatever_its_size(pack: Pack) -> None:
    large = picture_with_faces_at((320, 160)).repeat(2, axis=0).repeat(2, axis=1)

    [[face]] = pack.detector.detect([large])

    assert face.box.width == pytest.approx(2 * 2 * FIRING_STRIDE * HALF_SIDE_STRIDES)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (3, 5000)])
def test_a_picture_of_any_shape_is_looked_at_without_error(pack: Pack, shape: tuple[int, int]) -> None:
    assert len(pack.detector.detect([np.zeros((*shape, 3), np.uint8)])) == 1


def test_each_picture_has_its_own_list(pack: Pack) -> None:
    empty, two = pack.detector.detect([picture_with_faces_at(), picture_with_faces_at((96, 96), (400, 400))])

    assert empty == []
    assert len(two) == 2


def test_embeddings_are_unit_vectors_and_do_not_depend_on_neighbours(pack: Pack) -> None:
    crops = pictures.lfw_crops()[:70]

    together = pack.recognizer.embed(crops)
    alone = np.concatenate([pack.recognizer.embed([crop]) for crop in crops[:5]])

    assert together.shape == (70, pack.dimension)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together[:5], alone, atol=1e-5)


def test_no_crops_are_no_embeddings(pack: Pack) -> None:
    assert pack.recognizer.embed([]).shape == (0, pack.dimension)
    assert pack.detector.detect([]) == []


def test_a_recognizer_exported_for_one_crop_works_too(tmp_path: Path) -> None:
    make_pack(tmp_path / "single", batch=1)
    pack = load_pack(FaceConfig(packs_dir=tmp_path, pack="single"))

    assert pack.recognizer.embed(pictures.lfw_crops()[:3]).shape == (3, 512)


def test_the_licence_is_shown_when_the_pack_is_chosen(pack: Pack) -> None:
    assert "non-commercial research only" in pack.licence
    assert "non-commercial research only" in pack.warning
    assert pack.providers == ("CPUExecutionProvider",)

"""A picture at several scales: what is seen where, whatever the scale and the edge."""

import numpy as np
import pytest

from tests import pictures
from worker.recognition.detectors.pyramid import BEYOND_GREY, Pyramid
from worker.recognition.interfaces import Image


def ramp(width: int, height: int) -> Image:
    """Return a picture whose green grows by one for each pixel to the right, and whose blue grows downwards."""
    across = np.arange(width)[None, :].repeat(height, axis=0)
    down = np.arange(height)[:, None].repeat(width, axis=1)
    return np.stack([down, across, across], axis=2).astype(np.uint8)


@pytest.mark.parametrize("size", [(240, 200), (241, 199), (98, 250)])
@pytest.mark.parametrize("side_pixels", [24, 48])
@pytest.mark.parametrize("box", [(10.0, 20.0, 34.0, 44.0), (8.5, 3.25, 90.5, 85.25), (1.0, 2.0, 97.0, 98.0)])
def test_a_crop_shows_what_is_in_its_box(size: tuple[int, int], side_pixels: int, box: tuple[float, ...]) -> None:
    [crop] = Pyramid(ramp(*size)).crops(np.array([box], np.float32), side_pixels)

    left, top, right, bottom = box
    middles = (np.arange(side_pixels) + 0.5) / side_pixels
    # Pixel x of the picture reaches from x to x + 1, so its green is that of x + 0.5.
    across = left + (right - left) * middles - 0.5
    down = top + (bottom - top) * middles - 0.5
    inner = slice(1, -1)
    assert np.abs(crop[inner, inner, 1].mean(axis=0) - across[inner]).max() < 1.5
    assert np.abs(crop[inner, inner, 0].mean(axis=1) - down[inner]).max() < 1.5


def test_beyond_the_edge_a_crop_is_grey() -> None:
    picture = np.zeros((50, 60, 3), np.uint8)
    boxes = np.array([[-100, -100, -50, -50], [30, 20, 90, 80], [-1e4, -1e4, 1e4, 1e4]], np.float32)

    outside, half, tiny = Pyramid(picture).crops(boxes, 24)

    assert (outside == BEYOND_GREY).all()
    assert (half[:10, :10] == 0).all()
    assert (half[14:, 14:] == BEYOND_GREY).all()
    assert (tiny == BEYOND_GREY).mean() > 0.98


def test_many_crops_are_those_that_are_taken_alone() -> None:
    random = np.random.default_rng(0)
    starts = random.uniform(-20, 300, (700, 2))
    boxes = np.concatenate([starts, starts + random.uniform(12, 250, (700, 1))], axis=1).astype(np.float32)
    pyramid = Pyramid(pictures.wavy_picture(411, 307))

    together = pyramid.crops(boxes, 24)

    for row in random.choice(700, 40, replace=False):
        assert (pyramid.crops(boxes[row : row + 1], 24)[0] == together[row]).all()
    assert pyramid.crops(boxes[:0], 24).shape == (0, 24, 24, 3)


@pytest.mark.parametrize("size", [(120, 90), (119, 91), (33, 25), (7, 5), (1, 1)])
def test_a_level_is_the_picture_averaged(size: tuple[int, int]) -> None:
    picture = ramp(240, 180)

    level = Pyramid(picture).at(*size)

    assert level.shape == (size[1], size[0], 3)
    middles = (np.arange(size[0]) + 0.5) / size[0] * 240
    # Each halving rounds colours to whole numbers, and half a number up.
    assert np.abs(level[:, :, 1].mean(axis=0) - (middles - 0.5)).max() < 1.5 + 0.05 * 240 / size[0]

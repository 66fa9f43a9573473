"""Crops are where the recognizer wants them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from insightface.utils import face_align

from tests import pictures
from worker.recognition.alignment import ARCFACE, aligned_crop, similarity_transform
from worker.recognition.interfaces import Alignment

HALVED = replace(ARCFACE, interpolation="halved")
#: Another side, and the face smaller in it.
WIDE = Alignment(side_pixels=150, template=ARCFACE.template * np.float32(1.1) + 14, interpolation="halved")
PICTURE = cv2.resize(pictures.sample("astronaut"), (701, 487), interpolation=cv2.INTER_AREA)


def turned(points: np.ndarray, *, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points @ matrix.T + shift).astype(np.float32)


@given(
    degrees=st.floats(-180, 180),
    scale=st.floats(0.1, 20),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_a_turned_scaled_and_moved_template_comes_back_onto_itself(
    degrees: float, scale: float, shift: tuple[float, float]
) -> None:
    points = turned(ARCFACE.template, degrees=degrees, scale=scale, shift=shift)

    matrix = similarity_transform(points, ARCFACE.template)

    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], ARCFACE.template, atol=0.02)


def test_the_transform_is_never_a_mirror() -> None:
    mirrored = ARCFACE.template * (-1, 1)

    matrix = similarity_transform(mirrored.astype(np.float32), ARCFACE.template)

    assert np.linalg.det(matrix[:, :2]) >= 0


def test_points_that_all_coincide_give_a_finite_matrix() -> None:
    matrix = similarity_transform(np.full((5, 2), 7, np.float32), ARCFACE.template)

    assert np.isfinite(matrix).all()


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
def test_the_transform_and_the_crop_are_those_of_insightface(scale: float) -> None:
    image = pictures.sample("astronaut")
    rng = np.random.default_rng(3)
    points = turned(ARCFACE.template, degrees=12, scale=scale, shift=(140, 60))
    points += rng.normal(0, 2, points.shape).astype(np.float32)

    ours = similarity_transform(points, ARCFACE.template)

    np.testing.assert_allclose(ours, face_align.estimate_norm(points), atol=1e-4)
    difference = np.abs(aligned_crop(image, points, ARCFACE).astype(int) - face_align.norm_crop(image, points))
    assert difference.max() <= 2


def test_a_face_much_larger_than_its_crop_is_averaged_and_not_sampled() -> None:
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (1200, 1200, 3), np.uint8)
    points = turned(ARCFACE.template, degrees=5, scale=8, shift=(100, 100))

    assert aligned_crop(noise, points, HALVED).std() < 20
    assert aligned_crop(noise, points, ARCFACE).std() > 40


def waves(crop_x: np.ndarray, crop_y: np.ndarray) -> np.ndarray:
    """Return a smooth pattern (grey levels) at these places of a crop of 150 pixels."""
    return 128 + 60 * np.sin(crop_x / 9) * np.cos(crop_y / 11) + 40 * np.cos((crop_x + crop_y) / 17)


@pytest.mark.parametrize("degrees", [0, 25, -100])
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.59, 1.61, 2.0, 3.1, 3.3, 6.45, 9.0, 13.0])
def test_a_crop_is_not_moved_whatever_the_scale(scale: float, degrees: float) -> None:
    middle = turned(np.array([[75.0, 75.0]]), degrees=degrees, scale=scale, shift=(0, 0))[0]
    size = (int(scale * 230) + 3, int(scale * 240) + 2)
    points = turned(WIDE.template, degrees=degrees, scale=scale, shift=(size[1] / 2, size[0] / 2) - middle)
    matrix = similarity_transform(points, WIDE.template)
    y, x = np.mgrid[: size[0], : size[1]]
    crop_x, crop_y = (row[0] * x + row[1] * y + row[2] for row in matrix)
    picture = np.repeat(np.rint(waves(crop_x, crop_y)).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)

    crop = aligned_crop(picture, points, WIDE)[..., 0].astype(float)

    y, x = np.mgrid[:150, :150]
    expected = waves(x, y)
    slopes = np.stack([np.ravel(each) for each in np.gradient(expected)], axis=1)
    moved, *_ = np.linalg.lstsq(slopes, (crop - expected).ravel(), rcond=None)
    print(f"scale {scale}, {degrees} degrees: moved by {-moved[1]:.4f}, {-moved[0]:.4f} pixels")
    assert np.abs(moved).max() < 0.05
    assert np.abs(crop - expected).max() < 6


@given(
    degrees=st.floats(-180, 180),
    scale=st.floats(1.7, 30),
    middle=st.tuples(st.integers(-50, 750), st.integers(-50, 530)),
    crop=st.tuples(st.integers(0, 7), st.integers(0, 7)),
)
def test_only_the_part_that_the_crop_shows_is_halved_with_the_same_result(
    degrees: float, scale: float, middle: tuple[int, int], crop: tuple[int, int]
) -> None:
    # Sides that are no multiples of a power of two, for the lines at the edges.
    picture = PICTURE[: PICTURE.shape[0] - crop[0], : PICTURE.shape[1] - crop[1]]
    points = turned(WIDE.template - 75, degrees=degrees, scale=scale, shift=middle)

    ours = aligned_crop(picture, points, WIDE)

    difference = cv2.absdiff(ours, halved_as_a_whole(picture, points))
    # OpenCV rounds a place in the picture to 1/32 of a pixel, and rounds another number in a part of the picture.
    assert difference.mean() < 0.2
    assert difference.max() <= 255 / 32


def halved_as_a_whole(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Crop as "halved" does, the simple way: halve the whole picture, move the points, crop."""
    turn = similarity_transform(points, WIDE.template)
    pixels = 1 / np.hypot(turn[0, 0], turn[1, 0])
    matrix = np.vstack([turn, [0, 0, 1]])
    while pixels > 1.6:
        height, width = picture.shape[:2]
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
        pixels /= 2
    return cv2.warpAffine(picture, matrix[:2], (150, 150), borderMode=cv2.BORDER_REPLICATE)


def test_where_the_picture_ends_a_halved_crop_goes_on_in_the_colours_of_its_edge() -> None:
    image = np.full((90, 90, 3), 200, np.uint8)

    assert aligned_crop(image, ARCFACE.template, ARCFACE).min() == 0
    assert aligned_crop(image, ARCFACE.template, HALVED).min() == 200
    assert aligned_crop(image, ARCFACE.template * 9 + 5000, HALVED).min() == 200


@pytest.mark.parametrize("points", [np.full((5, 2), 7.0), np.full((5, 2), np.nan), ARCFACE.template * 1e9])
def test_landmarks_that_make_no_sense_give_some_crop(points: np.ndarray) -> None:
    crop = aligned_crop(PICTURE, points.astype(np.float32), WIDE)

    assert (crop.shape, crop.dtype) == ((150, 150, 3), np.uint8)


def test_a_face_outside_the_picture_is_black() -> None:
    image = np.full((50, 50, 3), 200, np.uint8)

    assert aligned_crop(image, ARCFACE.template + 500, ARCFACE).max() == 0
    assert aligned_crop(image, ARCFACE.template * 9 + 5000, ARCFACE).max() == 0

"""Crops are where ArcFace wants them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from insightface.utils import face_align

from tests import pictures
from worker.recognition.alignment import ARCFACE, aligned_crop, similarity_transform


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
    difference = np.abs(aligned_crop(image, points).astype(int) - face_align.norm_crop(image, points))
    assert difference.max() <= 2


def test_a_face_much_larger_than_its_smooth_crop_is_averaged_and_not_sampled() -> None:
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (1200, 1200, 3), np.uint8)
    points = turned(ARCFACE.template, degrees=5, scale=8, shift=(100, 100))

    assert aligned_crop(noise, points, is_smooth=True).std() < 20
    assert aligned_crop(noise, points).std() > 40


def test_shrinking_first_does_not_move_the_face() -> None:
    image = pictures.sample("astronaut")
    large = np.ascontiguousarray(image.repeat(3, axis=0).repeat(3, axis=1))
    points = turned(ARCFACE.template, degrees=-8, scale=1.2, shift=(150, 40))

    small_crop = aligned_crop(image, points, is_smooth=True).astype(int)
    large_crop = aligned_crop(large, points * 3 + 1, is_smooth=True).astype(int)

    assert np.abs(small_crop - large_crop).mean() < 3


def test_where_the_picture_ends_the_crop_may_go_on_in_the_colours_of_its_edge() -> None:
    image = np.full((90, 90, 3), 200, np.uint8)

    assert aligned_crop(image, ARCFACE.template).min() == 0
    assert aligned_crop(image, ARCFACE.template, is_smooth=True).min() == 200


def test_a_face_outside_the_picture_is_black() -> None:
    image = np.full((50, 50, 3), 200, np.uint8)

    assert aligned_crop(image, ARCFACE.template + 500).max() == 0
    assert aligned_crop(image, ARCFACE.template * 9 + 5000).max() == 0

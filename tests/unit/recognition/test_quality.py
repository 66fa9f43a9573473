"""Quality rises with everything that makes a face easier to recognise."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests import pictures
from worker.recognition.alignment import ARCFACE_LANDMARKS
from worker.recognition.interfaces import Box
from worker.recognition.quality import pose, quality, sharpness, size

CROP = pictures.lfw_crops()[0]


def square(side_pixels: float) -> Box:
    return Box(left=0, top=0, right=side_pixels, bottom=side_pixels)


def nose_moved(across: float = 0.0, down: float = 0.0) -> np.ndarray:
    points = ARCFACE_LANDMARKS.copy()
    points[2] += (across, down)
    return points


def test_the_more_a_crop_is_blurred_the_less_sharp_it_is() -> None:
    blurred = [sharpness(CROP)] + [sharpness(cv2.GaussianBlur(CROP, (0, 0), sigma)) for sigma in (1, 2, 4, 8)]

    assert blurred == sorted(blurred, reverse=True)
    assert sharpness(np.full_like(CROP, 90)) == 0


def test_the_further_a_head_is_turned_the_lower_its_pose() -> None:
    turned = [pose(nose_moved(across=pixels)) for pixels in (0, 3, 6, 12, 24)]

    assert turned == sorted(turned, reverse=True)
    assert turned[0] > 0.95
    assert turned[-1] == 0


def test_the_further_a_head_is_bent_the_lower_its_pose() -> None:
    for direction in (-1, 1):
        bent = [pose(nose_moved(down=direction * pixels)) for pixels in (0, 4, 8, 16)]
        assert bent == sorted(bent, reverse=True)


@given(st.floats(-180, 180), st.floats(0.2, 10))
def test_a_tilted_or_larger_head_has_the_same_pose(degrees: float, scale: float) -> None:
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    assert abs(pose((ARCFACE_LANDMARKS @ turn.T).astype(np.float32)) - pose(ARCFACE_LANDMARKS)) < 1e-3


def test_landmarks_that_all_coincide_have_no_pose() -> None:
    assert pose(np.zeros((5, 2), np.float32)) == 0


@given(st.floats(1, 2000), st.floats(1, 2000))
def test_a_larger_face_is_never_worse(one: float, other: float) -> None:
    small, large = sorted((one, other))

    assert size(square(small)) <= size(square(large)) <= 1


def test_one_bad_share_spoils_the_whole() -> None:
    good = quality(box=square(200), landmarks=ARCFACE_LANDMARKS, crop=CROP)

    assert 0.3 < good <= 1
    assert quality(box=square(2), landmarks=ARCFACE_LANDMARKS, crop=CROP) < good / 2
    assert quality(box=square(200), landmarks=nose_moved(across=30), crop=CROP) == 0

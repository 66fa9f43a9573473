"""Quality rises with everything that makes a face easier to recognise."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests import pictures
from worker.recognition.alignment import ARCFACE
from worker.recognition.interfaces import Box
from worker.recognition.quality import exposure, pose, quality, sharpness, size

CROP = pictures.lfw_crops()[0]
GREY = cv2.cvtColor(CROP, cv2.COLOR_BGR2GRAY)


def square(side_pixels: float) -> Box:
    return Box(left=0, top=0, right=side_pixels, bottom=side_pixels)


def nose_moved(across: float = 0.0, down: float = 0.0) -> np.ndarray:
    points = ARCFACE.template.copy()
    points[2] += (across, down)
    return points


def test_the_more_a_crop_is_blurred_the_less_sharp_it_is() -> None:
    blurred = [sharpness(GREY)] + [sharpness(cv2.GaussianBlur(GREY, (0, 0), sigma)) for sigma in (1, 2, 4, 8)]

    assert blurred == sorted(blurred, reverse=True)
    assert sharpness(np.full_like(GREY, 90)) == 0


def test_the_darker_or_brighter_a_face_beyond_good_light_the_worse_its_exposure() -> None:
    dark = [exposure(np.full_like(GREY, level)) for level in (120, 50, 30, 10, 0)]
    bright = [exposure(np.full_like(GREY, level)) for level in (120, 205, 230, 250, 255)]

    for levels in (dark, bright):
        assert levels == sorted(levels, reverse=True)
        assert levels[:2] == [1, 1]
        assert levels[-1] == 0


def test_the_further_a_head_is_turned_the_lower_its_pose() -> None:
    turned = [pose(nose_moved(across=pixels), ARCFACE.template) for pixels in (0, 3, 6, 12, 24)]

    assert turned == sorted(turned, reverse=True)
    assert turned[0] > 0.95
    assert turned[-1] == 0


def test_the_further_a_head_is_bent_the_lower_its_pose() -> None:
    for direction in (-1, 1):
        bent = [pose(nose_moved(down=direction * pixels), ARCFACE.template) for pixels in (0, 4, 8, 16)]
        assert bent == sorted(bent, reverse=True)


@given(st.floats(-180, 180), st.floats(0.2, 10))
def test_a_tilted_or_larger_head_has_the_same_pose(degrees: float, scale: float) -> None:
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    larger = (ARCFACE.template @ turn.T).astype(np.float32)
    assert abs(pose(larger, ARCFACE.template) - pose(ARCFACE.template, ARCFACE.template)) < 1e-3


def test_landmarks_that_all_coincide_have_no_pose() -> None:
    assert pose(np.zeros((5, 2), np.float32), ARCFACE.template) == 0


def test_the_pose_is_measured_against_the_packs_own_template() -> None:
    low_nose = nose_moved(down=4)

    assert pose(low_nose, low_nose) > 0.99 > pose(low_nose, ARCFACE.template)
    assert pose(ARCFACE.template, low_nose) < 0.9


def test_a_face_as_large_as_its_crop_is_large_enough() -> None:
    assert size(square(112), 112) == size(square(150), 150) == 1
    assert size(square(75), 150) == 0.5
    assert size(Box(left=0, top=0, right=300, bottom=30), 150) == 0.2


@given(st.lists(st.floats(-15, 15), min_size=10, max_size=10), st.floats(20, 300))
def test_a_face_for_arcface_has_the_quality_that_galleries_remember(moved: list[float], side_pixels: float) -> None:
    points = (ARCFACE.template + np.array(moved).reshape(5, 2)).astype(np.float32)
    left_eye, right_eye, nose, left_mouth, right_mouth = points.astype(np.float64)
    eyes, down = (left_eye + right_eye) / 2, (left_mouth + right_mouth - left_eye - right_eye) / 2
    turned = abs((nose - eyes) @ (right_eye - left_eye) / ((right_eye - left_eye) @ (right_eye - left_eye)))
    bent = abs((nose - eyes) @ down / (down @ down) - 0.495)
    shares = [sharpness(GREY), exposure(GREY), max(0, 1 - 2 * turned) * max(0, 1 - 2 * bent), side_pixels / 112]

    found = quality(box=square(side_pixels), landmarks=points, crop=CROP, template=ARCFACE.template)

    assert abs(found - np.prod(np.minimum(shares, 1)) ** 0.25) < 1e-6


@given(st.floats(1, 2000), st.floats(1, 2000))
def test_a_larger_face_is_never_worse(one: float, other: float) -> None:
    small, large = sorted((one, other))

    assert size(square(small), 112) <= size(square(large), 112) <= 1


def test_one_bad_share_spoils_the_whole() -> None:
    good = quality(box=square(200), landmarks=ARCFACE.template, crop=CROP, template=ARCFACE.template)

    assert 0.3 < good <= 1
    assert quality(box=square(2), landmarks=ARCFACE.template, crop=CROP, template=ARCFACE.template) < good / 2
    assert quality(box=square(200), landmarks=nose_moved(across=30), crop=CROP, template=ARCFACE.template) == 0
    assert quality(box=square(200), landmarks=ARCFACE.template, crop=CROP // 16, template=ARCFACE.template) < good

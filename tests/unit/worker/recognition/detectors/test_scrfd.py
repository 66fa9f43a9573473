"""What surrounds the detector's model: letterboxing, suppression of overlaps, and decoding by score first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from insightface.model_zoo import SCRFD

from worker.recognition.detectors.letterbox import letterboxed
from worker.recognition.detectors.scrfd import without_overlaps


class Reference(SCRFD):  # type: ignore[misc]
    """InsightFace's suppression without its model."""

    def __init__(self) -> None:
        self.nms_thresh = 0.4


corners = arrays(np.float32, (12, 2), elements=st.floats(0, 100, width=16))
sides = arrays(np.float32, (12, 2), elements=st.floats(1, 60, width=16))


@given(corners, sides)
def test_the_same_boxes_are_kept_as_by_insightface(corners: np.ndarray, sides: np.ndarray) -> None:
    boxes = np.concatenate([corners, corners + sides], axis=1)
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)[:, None]

    assert without_overlaps(boxes, 0.4) == list(Reference().nms(np.concatenate([boxes, scores], axis=1)))


def test_no_boxes_are_none_to_keep() -> None:
    assert without_overlaps(np.empty((0, 4), np.float32), 0.4) == []


@pytest.mark.parametrize(
    ("width", "height", "inner"),
    [
        (1280, 886, (640, 443)),
        (886, 1280, (443, 640)),
        (640, 640, (640, 640)),
        (32, 32, (640, 640)),
        (3, 1, (640, 213)),
    ],
)
def test_a_picture_fills_one_side_of_the_square_and_the_rest_is_black(
    width: int, height: int, inner: tuple[int, int]
) -> None:
    boxed = letterboxed(np.full((height, width, 3), 200, np.uint8), 640)

    assert boxed is not None
    assert boxed.pixels.shape == (640, 640, 3)
    across, down = inner
    assert (boxed.pixels[:down, :across] == 200).all()
    assert boxed.pixels[down:].max(initial=0) == boxed.pixels[:, across:].max(initial=0) == 0
    assert boxed.scale == down / height


@pytest.mark.parametrize(("width", "height"), [(641, 1), (1, 641), (5000, 7)])
def test_a_picture_that_would_shrink_to_nothing_is_not_looked_at(width: int, height: int) -> None:
    assert letterboxed(np.zeros((height, width, 3), np.uint8), 640) is None

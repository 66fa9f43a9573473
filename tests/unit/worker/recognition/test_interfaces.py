"""Boxes overlap as rectangles do."""

from hypothesis import given
from hypothesis import strategies as st

from worker.recognition.interfaces import Box

boxes = st.builds(
    lambda left, top, width, height: Box(left=left, top=top, right=left + width, bottom=top + height),
    st.floats(-1000, 1000),
    st.floats(-1000, 1000),
    st.floats(1, 500),
    st.floats(1, 500),
)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_a_share(one: Box, other: Box) -> None:
    assert one.overlap(other) == other.overlap(one)
    assert 0 <= one.overlap(other) <= 1 + 1e-9


@given(boxes)
def test_a_box_overlaps_itself_wholly(box: Box) -> None:
    assert abs(box.overlap(box) - 1) < 1e-9


def test_boxes_side_by_side_do_not_overlap() -> None:
    assert Box(left=0, top=0, right=10, bottom=10).overlap(Box(left=10, top=0, right=20, bottom=10)) == 0


def test_half_a_box_overlaps_by_half() -> None:
    assert Box(left=0, top=0, right=10, bottom=10).overlap(Box(left=0, top=0, right=10, bottom=5)) == 0.5

"""A box on the face is a find, one on another known face is nothing, and any other is false."""

import numpy as np
import pytest

from benchmarks.hard_faces.conditions import HardPicture
from benchmarks.hard_faces.recall import Found, Tally, as_text
from benchmarks.hard_faces.variants import Variant, VariedDetector
from tests.unit.worker.recognition.sample_faces import opened, sample_pictures
from worker.recognition.detectors import mtcnn
from worker.recognition.interfaces import Box

PICTURE = np.zeros((100, 100, 3), np.uint8)
FACE, OTHER, NOWHERE = (Box(left=x, top=10, right=x + 20, bottom=40) for x in (10, 40, 70))
BESIDE_FACE = Box(left=17, top=10, right=37, bottom=40)


@pytest.mark.parametrize(
    ("boxes", "found", "false_boxes"),
    [
        ([], 0, 0),
        ([FACE], 1, 0),
        ([FACE, OTHER], 1, 0),
        ([OTHER], 0, 0),
        ([FACE, FACE, NOWHERE], 1, 1),
        ([Box(left=11, top=12, right=31, bottom=44)], 1, 0),
        # Too far off to be a find, too near to be false.
        ([Box(left=20, top=10, right=40, bottom=40)], 0, 0),
    ],
)
def test_boxes_are_finds_false_or_nothing(boxes: list[Box], found: int, false_boxes: int) -> None:
    tally = Tally()

    tally.add(HardPicture(picture=PICTURE, subject=FACE, others=[OTHER]), boxes)

    assert (tally.pictures, tally.faces, tally.found, tally.false_boxes) == (1, 1, found, false_boxes)


def test_without_a_face_every_box_is_false() -> None:
    tally = Tally()

    tally.add(HardPicture(picture=PICTURE, subject=None, others=[]), [FACE, OTHER])

    assert (tally.faces, tally.found, tally.false_boxes) == (0, 0, 2)


def test_the_table_has_recall_and_false_boxes() -> None:
    found = Found(variant="face_score 0.8")
    found.tallies["dark"].faces, found.tallies["dark"].found = 8, 6
    found.tallies["dark"].false_boxes = 2

    lines = as_text([Found(variant="present"), found]).splitlines()

    assert lines[:2] == ["(0) present", "(1) face_score 0.8"]
    assert [line.split() for line in lines if line.startswith("dark")] == [["dark", "-", "75.0", "+2"]]
    assert [line.split()[-2:] for line in lines if line.startswith("false boxes")] == [["0", "2"]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is not a setting; there are"),
        ("score=0.5", "'score' is not a setting; there are"),
        ("face_score", "'' is not a number that face_score can have"),
        ("face_score=high", "'high' is not a number that face_score can have"),
        ("margin_pixels=1.5", "'1.5' is not a number that margin_pixels can have"),
        ("face_score=2", "face_score cannot be 2"),
        ("level_factor=1", "level_factor cannot be 1"),
    ],
)
def test_a_variant_that_cannot_be_is_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Variant.parse(text)


def test_a_variant_changes_the_detector_only_while_it_looks() -> None:
    picture = sample_pictures()["six_people"]
    engine = opened("dlib", threads_per_run=1, runs_at_once=1)
    try:
        present, blind, strict = (
            VariedDetector(engine.pack.detector, Variant.parse(text), face_score=0.9)  # type: ignore[arg-type]
            for text in ("face_score=0.9", "refinement_score=0.99999", "smallest_face_pixels=100,face_score=0.95")
        )
        before = dict(vars(mtcnn))

        assert [len(each.boxes([picture])[0]) for each in (present, blind, present)] == [6, 0, 6]
        assert 0 < len(strict.boxes([picture])[0]) <= 6
        assert dict(vars(mtcnn)) == before
    finally:
        engine.close()

"""In every picture that is made from a photo the face is where the picture says it is."""

import numpy as np
import pytest

from benchmarks.hard_faces.conditions import CONDITIONS, HardPicture, Subject
from worker.recognition.interfaces import Box, Image

#: The middle of this face is white, the rest of the photo grey with a texture.
BOX = Box(left=80, top=60, right=160, bottom=160)
OTHER = Box(left=190, top=20, right=230, bottom=70)
LANDMARKS = np.array([[100, 95], [140, 95], [120, 115], [104, 138], [136, 138]], np.float32)
MARK_PIXELS = 6
WITH_A_FACE = [name for name in CONDITIONS if name not in ("without faces", "scrambled")]


@pytest.fixture
def subject() -> Subject:
    random = np.random.default_rng(0)
    photo = random.integers(90, 110, (240, 260, 3)).astype(np.uint8)
    photo[110 - MARK_PIXELS : 110 + MARK_PIXELS, 120 - MARK_PIXELS : 120 + MARK_PIXELS] = 255
    photo[45 - MARK_PIXELS : 45 + MARK_PIXELS, 210 - MARK_PIXELS : 210 + MARK_PIXELS] = 0
    return Subject(photo=photo, box=BOX, landmarks=LANDMARKS, others=[OTHER])


def made(condition: str, subject: Subject) -> HardPicture:
    return CONDITIONS[condition](subject, np.random.default_rng(1))


def brightest(picture: Image) -> tuple[float, float]:
    """Return the middle (x, y) of what is far brighter than the rest."""
    grey = picture.astype(float).mean(axis=2)
    rows, columns = np.nonzero(grey > (grey.max() + np.median(grey)) / 2)
    return columns.mean() + 0.5, rows.mean() + 0.5


@pytest.mark.parametrize("condition", [name for name in WITH_A_FACE if not name.startswith(("hidden", "cut"))])
def test_the_box_goes_where_the_face_goes(condition: str, subject: Subject) -> None:
    hard = made(condition, subject)

    assert hard.subject is not None
    x, y = brightest(hard.picture)
    assert x == pytest.approx((hard.subject.left + hard.subject.right) / 2, abs=1.5)
    assert y == pytest.approx((hard.subject.top + hard.subject.bottom) / 2, abs=1.5)
    assert len(hard.others) == 1


@pytest.mark.parametrize("side_pixels", [60, 40, 30, 20])
def test_a_small_face_is_as_small_as_it_says(side_pixels: int, subject: Subject) -> None:
    hard = made(f"small, {side_pixels} pixels", subject)

    assert hard.subject is not None
    assert max(hard.subject.width, hard.subject.height) == pytest.approx(side_pixels)
    assert hard.picture.shape == (480, 640, 3)


@pytest.mark.parametrize("edge", ["left", "top", "right", "bottom"])
def test_an_edge_cuts_a_quarter_of_the_face_off(edge: str, subject: Subject) -> None:
    hard = made(f"cut, {edge}", subject)

    seen = hard.subject
    assert seen is not None
    assert seen.width * seen.height == pytest.approx(0.75 * BOX.width * BOX.height)
    at_edge = {
        "left": seen.left,
        "top": seen.top,
        "right": hard.picture.shape[1] - seen.right,
        "bottom": hard.picture.shape[0] - seen.bottom,
    }
    assert [name for name, distance in at_edge.items() if distance == 0] == [edge]
    x, y = brightest(hard.picture)
    assert seen.left < x < seen.right
    assert seen.top < y < seen.bottom


@pytest.mark.parametrize(
    ("part", "covered"),
    [("eyes", {0, 1}), ("mouth", {3, 4}), ("left half", {0, 3}), ("right half", {1, 4})],
)
def test_a_bar_hides_a_part_of_the_face(part: str, covered: set[int], subject: Subject) -> None:
    hard = made(f"hidden, {part}", subject)

    changed = (hard.picture != subject.photo).any(axis=2)
    under_bar = {number for number, (x, y) in enumerate(LANDMARKS.astype(int)) if number != 2 and changed[y, x]}
    assert under_bar == covered
    assert hard.subject == BOX
    assert 0.03 < changed.mean() < 0.15


def test_no_face_is_left_where_none_is_promised(subject: Subject) -> None:
    hard = made("without faces", subject)

    assert hard.subject is None
    for box in (BOX, OTHER):
        part = hard.picture[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
        assert (part == part[0, 0]).all()


def test_a_scrambled_photo_has_the_same_pixels_elsewhere(subject: Subject) -> None:
    hard = made("scrambled", subject)

    height, width = hard.picture.shape[:2]
    assert hard.subject is None
    assert sorted(hard.picture.ravel()) == sorted(subject.photo[:height, :width].ravel())
    assert (hard.picture != subject.photo[:height, :width]).any(axis=2).mean() > 0.8


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_same_photo_gives_the_same_picture_and_stays_as_it_is(condition: str, subject: Subject) -> None:
    before = subject.photo.copy()

    first, second = made(condition, subject), made(condition, subject)

    np.testing.assert_array_equal(first.picture, second.picture)
    assert first.picture.dtype == np.uint8
    assert (subject.photo == before).all()

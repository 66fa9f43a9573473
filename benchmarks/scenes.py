"""Pictures with faces at known places, which the packs of `benchmarks.packs` detect.

A planted face is a real one, tinted and textured so that no two are alike. It fills its box and has a marker in the
middle: a small square whose colour determines which anchor of the detector fires.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.recognition.alignment import ARCFACE
from worker.recognition.interfaces import Box, Image

#: The side that a picture is letterboxed to for detection; "letterboxed pixels" are the pixels of that square.
DETECTOR_SIDE_PIXELS = 640
STRIDES = (8, 16, 32)
#: Sides of the faces that can be planted, in letterboxed pixels: those of the two anchors of each stride.
FACE_SIDES_PIXELS = ((24, 40), (72, 120), (220, 400))
#: The colour (red, green, blue) that makes that anchor fire. Violets without green: far from each other, and even
#: farther from the colours of photographs.
MARKERS = (((255, 0, 255), (185, 0, 185)), ((255, 0, 185), (185, 0, 255)), ((255, 0, 115), (115, 0, 255)))
#: Side of a marker in letterboxed pixels.
_MARKER_PIXELS = 12
#: Letterboxed pixels between planted faces.
_GAP_PIXELS = 4
_PLACING_ATTEMPTS = 300
#: How many faces scikit-image ships.
_FACES = 100
_BACKGROUNDS = ("chelsea.png", "coffee.png", "rocket.jpg")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a face is planted: the anchor that should fire, and the centre (x, y) in letterboxed pixels."""

    level: int
    which: int
    x: int
    y: int

    @property
    def half_side(self) -> float:
        return FACE_SIDES_PIXELS[self.level][self.which] / 2

    def box(self, scale: float) -> Box:
        """Return the face's box in pixels of a picture that letterboxing scales by `scale`."""
        half = self.half_side
        return Box(
            left=(self.x - half) / scale,
            top=(self.y - half) / scale,
            right=(self.x + half) / scale,
            bottom=(self.y + half) / scale,
        )

    def is_clear_of(self, other: "_Place") -> bool:
        apart = self.half_side + other.half_side + _GAP_PIXELS
        return max(abs(self.x - other.x), abs(self.y - other.y)) >= apart


def scene(
    *, faces: int, size: tuple[int, int] = (1280, 886), seed: int = 0, background: Image | None = None
) -> tuple[Image, list[Box]]:
    """Return a BGR picture of that width and height, and the boxes of the faces that our packs detect in it.

    A `background` is used unchanged, at its own size; without one it is part of a photo without faces. The faces are
    squares of 24 to 400 letterboxed pixels that do not overlap. The boxes that a pack detects are within 2 % of the
    side, plus one letterboxed pixel. Up to 100 faces are all different. Raises ValueError if they do not fit.
    """
    random = np.random.default_rng(seed)
    if background is not None:
        size = (background.shape[1], background.shape[0])
    scale = DETECTOR_SIDE_PIXELS / max(size)
    picture = background_photo(*size, random) if background is None else background.copy()
    numbers = random.permutation(_FACES)
    places: list[_Place] = []
    for index in range(faces):
        place = _free_place(places, (size[0] * scale, size[1] * scale), faces, random)
        places.append(place)
        _paint(picture, place, scale, int(numbers[index % _FACES]), random)
    return picture, [place.box(scale) for place in places]


def _free_place(taken: list[_Place], room: tuple[float, float], faces: int, random: np.random.Generator) -> _Place:
    # No face may cover much more than its share of the picture; the smallest size is always allowed.
    most = max(FACE_SIDES_PIXELS[0][0], 0.7 * (room[0] * room[1] / faces) ** 0.5)
    for _ in range(_PLACING_ATTEMPTS):
        level, which = int(random.integers(len(STRIDES))), int(random.integers(2))
        stride, side = STRIDES[level], FACE_SIDES_PIXELS[level][which]
        first = -(-side // 2 // stride)
        last_x, last_y = (int((length - side / 2 - 1) // stride) for length in room)
        if side > most or min(last_x, last_y) < first:
            continue
        x, y = (int(random.integers(first, last + 1)) * stride for last in (last_x, last_y))
        place = _Place(level=level, which=which, x=x, y=y)
        if all(place.is_clear_of(other) for other in taken):
            return place
    raise ValueError(f"No room for {faces} faces in a picture of {room[0]:.0f} x {room[1]:.0f} letterboxed pixels.")


def _paint(picture: Image, place: _Place, scale: float, number: int, random: np.random.Generator) -> None:
    box = place.box(scale)
    left, top, side = round(box.left), round(box.top), round(box.width)
    inside = picture[top : top + side, left : left + side]
    inside[:] = _marked_face(side, number, place, random)[: inside.shape[0], : inside.shape[1]]


def background_photo(width: int, height: int, random: np.random.Generator) -> Image:
    """Return part of a photo that scikit-image ships, with a gradient and noise."""
    photo = cv2.imread(str(_skimage_file(str(random.choice(_BACKGROUNDS)))), cv2.IMREAD_COLOR)
    rows, columns = photo.shape[:2]
    top, left = int(random.integers(rows // 3)), int(random.integers(columns // 3))
    piece = photo[top : top + rows // 2, left : left + columns // 2]
    base = cv2.resize(piece, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    base += np.linspace(*random.uniform(-30, 30, 2), width, dtype=np.float32)[None, :, None]
    base += random.standard_normal((height, width, 1), np.float32) * 4
    return np.ascontiguousarray(base.clip(0, 255).astype(np.uint8))


def _face(side: int, number: int, random: np.random.Generator) -> Image:
    """Return one of the 100 faces that scikit-image ships (25 x 25, grey), tinted and textured: (side, side, 3)."""
    face = np.load(_skimage_file("lfw_subset.npy"), mmap_mode="r")[number]
    tint = random.uniform((90, 120, 160), (190, 210, 255)).astype(np.float32)
    texture = random.uniform(0.6, 1.4, (5, 5, 3)).astype(np.float32)
    large, patches = (
        cv2.resize(each, (side, side), interpolation=cv2.INTER_CUBIC) for each in (face.astype(np.float32), texture)
    )
    return (large.clip(0, 1)[..., None] * tint * patches).clip(0, 255).astype(np.uint8)


def _marked_face(side: int, number: int, place: _Place, random: np.random.Generator) -> Image:
    """Return that face with the place's marker in its middle: (side, side, 3)."""
    face = _face(side, number, random)
    start = round((0.5 - _MARKER_PIXELS / place.half_side / 4) * side)
    face[start : side - start, start : side - start] = MARKERS[place.level][place.which][::-1]
    return face


def planted_crops(count: int) -> NDArray[np.uint8]:
    """Return faces as a recognizer receives them after planting and detection: (count, 112, 112, 3), BGR."""
    random = np.random.default_rng(0)
    places = [_Place(level=int(random.integers(3)), which=int(random.integers(2)), x=0, y=0) for _ in range(count)]
    return np.stack(
        [_marked_face(ARCFACE.side_pixels, number % _FACES, place, random) for number, place in enumerate(places)]
    )


def _skimage_file(name: str) -> Path:
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data" / name

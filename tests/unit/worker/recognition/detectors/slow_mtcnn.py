"""MTCNN once more, slowly: the published algorithm step by step, one box at a time, to compare ours with.

Networks and sampling (`Pyramid`) are shared with ours; everything between them is not. Coordinates are those of the
authors' code: whole pixels, the first of which is 1, so that a box is x2 - x1 + 1 wide.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.recognition.detectors.pyramid import Pyramid
from worker.recognition.interfaces import Image

#: One input without a batch axis -> its outputs without one.
Network = Callable[[NDArray[Any]], Sequence[NDArray[Any]]]


@dataclass
class SlowBox:
    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    offsets: list[float] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)

    @property
    def width(self) -> float:
        return self.x2 - self.x1 + 1

    @property
    def height(self) -> float:
        return self.y2 - self.y1 + 1


@dataclass
class SlowFaces:
    """The faces, best first, and how many boxes the second and the third network looked at."""

    faces: list[SlowBox]
    refined: int
    looked_at: int


def slow_faces(picture: Image, networks: Sequence[Network], *, smallest_face: int, faintest: float) -> SlowFaces:
    """Return the faces of a picture that is not too large to be looked at as it is."""
    p_net, r_net, o_net = networks
    pyramid = Pyramid(picture)
    proposed = [_square(_moved(box)) for box in _without(_proposed(pyramid, p_net, smallest_face), 0.7, _of_union)]
    refined = []
    for box in proposed:
        face, offsets = r_net(_crop(pyramid, box, 24))
        if face >= 0.7:
            refined.append(SlowBox(box.x1, box.y1, box.x2, box.y2, float(face), offsets.tolist()))
    refined = [_square(_moved(box)) for box in _without(refined, 0.7, _of_union)]
    found = []
    for box in refined:
        face, offsets, points = o_net(_crop(pyramid, box, 48))
        if face >= faintest:
            across = [box.width * share + box.x1 - 1 for share in points[:5]]
            down = [box.height * share + box.y1 - 1 for share in points[5:]]
            scored = SlowBox(box.x1, box.y1, box.x2, box.y2, float(face), offsets.tolist())
            moved = _moved(scored)
            moved.points = list(zip(across, down, strict=True))
            found.append(moved)
    return SlowFaces(faces=_without(found, 0.7, _of_smaller), refined=len(proposed), looked_at=len(refined))


def _proposed(pyramid: Pyramid, p_net: Network, smallest_face: int) -> list[SlowBox]:
    height, width = pyramid.picture.shape[:2]
    found = []
    scale = 12 / smallest_face
    while min(height, width) * scale >= 8:
        level_width, level_height = math.ceil(width * scale), math.ceil(height * scale)
        canvas = np.full((max(12, level_height + 8), max(12, level_width + 8), 3), 128, np.uint8)
        canvas[4 : 4 + level_height, 4 : 4 + level_width] = pyramid.at(level_width, level_height)
        faces, offsets = p_net(canvas)
        across, down = level_width / width, level_height / height
        of_level = []
        for y in range(faces.shape[0]):
            for x in range(faces.shape[1]):
                if faces[y, x] >= 0.8:
                    of_level.append(
                        SlowBox(
                            (2 * x + 1 - 4) / across,
                            (2 * y + 1 - 4) / down,
                            (2 * x + 12 - 4) / across,
                            (2 * y + 12 - 4) / down,
                            float(faces[y, x]),
                            offsets[y, x].tolist(),
                        )
                    )
        found += _without(of_level, 0.5, _of_union)
        scale *= 0.709
    return found


def _without(boxes: Sequence[SlowBox], overlap: float, share: Callable[[SlowBox, SlowBox], float]) -> list[SlowBox]:
    """Non-maximum suppression."""
    kept: list[SlowBox] = []
    for box in sorted(boxes, key=lambda each: -each.score):
        if all(share(box, other) <= overlap for other in kept):
            kept.append(box)
    return kept


def _of_union(one: SlowBox, other: SlowBox) -> float:
    shared = _shared(one, other)
    return shared / (one.width * one.height + other.width * other.height - shared)


def _of_smaller(one: SlowBox, other: SlowBox) -> float:
    return _shared(one, other) / min(one.width * one.height, other.width * other.height)


def _shared(one: SlowBox, other: SlowBox) -> float:
    width = min(one.x2, other.x2) - max(one.x1, other.x1) + 1
    height = min(one.y2, other.y2) - max(one.y1, other.y1) + 1
    return max(0.0, width) * max(0.0, height)


def _moved(box: SlowBox) -> SlowBox:
    """Bounding box regression: each edge moves by its offset, in sides of the box."""
    left, top, right, bottom = box.offsets
    return SlowBox(
        box.x1 + left * box.width,
        box.y1 + top * box.height,
        box.x2 + right * box.width,
        box.y2 + bottom * box.height,
        box.score,
    )


def _square(box: SlowBox) -> SlowBox:
    side = max(box.width, box.height)
    x1, y1 = box.x1 + (box.width - side) / 2, box.y1 + (box.height - side) / 2
    return SlowBox(x1, y1, x1 + side - 1, y1 + side - 1, box.score)


def _crop(pyramid: Pyramid, box: SlowBox, side_pixels: int) -> Image:
    # Pixel x1 reaches from edge x1 - 1 to edge x1.
    edges = np.array([[box.x1 - 1, box.y1 - 1, box.x2, box.y2]], np.float32)
    return pyramid.crops(edges, side_pixels)[0]

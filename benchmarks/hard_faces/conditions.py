"""Pictures made from photos in which the face is hard to find: small, tilted, half-hidden, dark, cut by an edge.

Of each it is known where the faces of the photo are, because it is known where they were in the photo. The same photo
always gives the same pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.recognition.interfaces import Box, Image, Landmarks

Edge = Literal["left", "top", "right", "bottom"]
Part = Literal["eyes", "mouth", "left half", "right half"]

#: The size of the picture in which small faces lie, in pixels.
_CANVAS_WIDTH, _CANVAS_HEIGHT = 640, 480
#: A bar over the eyes or the mouth is this high, in heights of the face.
_BAR_SHARE = 0.28
#: To have a face out of a picture, so much is painted over around its middle, in sides of its box.
_PAINTED_SHARE = 1.6
#: The blocks of a scrambled photo, in sides of the face.
_BLOCK_SHARE = 0.25
#: A sensor's noise in the dark, as standard deviation.
_NOISE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A photo, its subject's box and landmarks, and the boxes of all other faces in it."""

    photo: Image
    box: Box
    landmarks: Landmarks
    others: Sequence[Box]


@dataclass(frozen=True, slots=True, kw_only=True)
class HardPicture:
    """`subject` is where the face is now, as far as it can be seen; None where it is not. `others`: those of others."""

    picture: Image
    subject: Box | None
    others: Sequence[Box]


Condition = Callable[[Subject, np.random.Generator], HardPicture]


def unchanged(subject: Subject, random: np.random.Generator) -> HardPicture:
    return HardPicture(picture=subject.photo, subject=subject.box, others=subject.others)


def without_faces(subject: Subject, random: np.random.Generator) -> HardPicture:
    """All faces are painted over in the mean colour of the photo: every box that is found is false."""
    picture = subject.photo.copy()
    colour = subject.photo.reshape(-1, 3).mean(axis=0)
    height, width = picture.shape[:2]
    for box in (subject.box, *subject.others):
        middle, half = _middle(box), _PAINTED_SHARE / 2 * np.array([box.width, box.height])
        left, top = np.clip(np.floor(middle - half), 0, (width, height)).astype(int)
        right, bottom = np.clip(np.ceil(middle + half), 0, (width, height)).astype(int)
        picture[top:bottom, left:right] = colour
    return HardPicture(picture=picture, subject=None, others=())


def scrambled(subject: Subject, random: np.random.Generator) -> HardPicture:
    """The photo in square blocks that have changed places: its textures and edges, but no face."""
    block = max(1, round(min(subject.box.width, subject.box.height) * _BLOCK_SHARE))
    height, width = (side // block * block for side in subject.photo.shape[:2])
    blocks = subject.photo[:height, :width].reshape(height // block, block, width // block, block, 3).swapaxes(1, 2)
    shuffled = random.permutation(blocks.reshape(-1, block, block, 3)).reshape(blocks.shape)
    return HardPicture(picture=shuffled.swapaxes(1, 2).reshape(height, width, 3), subject=None, others=())


def small(subject: Subject, random: np.random.Generator, *, side_pixels: int) -> HardPicture:
    """The photo is shrunk until the longer side of the face has so many pixels, and lies in a larger plain picture."""
    scale = side_pixels / max(subject.box.width, subject.box.height)
    shrunk = cv2.resize(subject.photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = shrunk.shape[:2]
    picture: Image = np.empty((max(_CANVAS_HEIGHT, height), max(_CANVAS_WIDTH, width), 3), np.uint8)
    picture[:] = subject.photo.reshape(-1, 3).mean(axis=0)
    left = int(random.integers(0, picture.shape[1] - width + 1))
    top = int(random.integers(0, picture.shape[0] - height + 1))
    picture[top : top + height, left : left + width] = shrunk

    def moved(box: Box) -> Box:
        return _moved(box, scale=scale, left=-left, top=-top)

    return HardPicture(picture=picture, subject=moved(subject.box), others=[moved(box) for box in subject.others])


def tilted(subject: Subject, random: np.random.Generator, *, degrees: float) -> HardPicture:
    """The photo is turned about the middle of the face, to either side."""
    middle = _middle(subject.box)
    turn = degrees * random.choice((-1, 1))
    matrix = cv2.getRotationMatrix2D(tuple(middle.tolist()), turn, 1.0)
    height, width = subject.photo.shape[:2]
    picture = cv2.warpAffine(subject.photo, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)

    def turned(box: Box) -> Box:
        x, y = matrix[:, :2] @ _middle(box) + matrix[:, 2]
        half_width, half_height = box.width / 2, box.height / 2
        return Box(left=x - half_width, top=y - half_height, right=x + half_width, bottom=y + half_height)

    return HardPicture(
        picture=np.asarray(picture, np.uint8),
        subject=turned(subject.box),
        others=[turned(box) for box in subject.others],
    )


def hidden(subject: Subject, random: np.random.Generator, *, part: Part) -> HardPicture:
    """A bar of one colour hides the eyes, the mouth or one half of the face."""
    box, landmarks = subject.box, subject.landmarks
    middle = float(landmarks[2, 0])
    left, right = box.left - 0.1 * box.width, box.right + 0.1 * box.width
    top, bottom = box.top - 0.1 * box.height, box.bottom + 0.1 * box.height
    if part == "left half":
        right = middle
    elif part == "right half":
        left = middle
    else:
        rows = landmarks[:2, 1] if part == "eyes" else landmarks[3:, 1]
        half = _BAR_SHARE / 2 * box.height
        top, bottom = float(rows.mean()) - half, float(rows.mean()) + half
    picture = subject.photo.copy()
    colour = random.integers(0, 256, 3)
    rows_hidden = slice(max(0, round(top)), max(0, round(bottom)))
    picture[rows_hidden, max(0, round(left)) : max(0, round(right))] = colour
    return HardPicture(picture=picture, subject=box, others=subject.others)


def dark(subject: Subject, random: np.random.Generator, *, gamma: float, gain: float) -> HardPicture:
    """The light is (light of the photo) ** gamma * gain, with a sensor's noise."""
    light = (subject.photo / 255.0) ** gamma * gain * 255
    noisy = light + random.normal(0, _NOISE, light.shape)
    return HardPicture(picture=np.rint(noisy).clip(0, 255).astype(np.uint8), subject=subject.box, others=subject.others)


def cut(subject: Subject, random: np.random.Generator, *, edge: Edge, share: float) -> HardPicture:
    """The picture begins or ends so far inside the face, in sides of its box."""
    height, width = subject.photo.shape[:2]
    box = subject.box
    left, top, right, bottom = 0, 0, width, height
    if edge == "left":
        left = round(box.left + share * box.width)
    elif edge == "right":
        right = round(box.right - share * box.width)
    elif edge == "top":
        top = round(box.top + share * box.height)
    else:
        bottom = round(box.bottom - share * box.height)
    picture = np.ascontiguousarray(subject.photo[top:bottom, left:right])
    seen = [_seen(_moved(each, left=left, top=top), picture) for each in (box, *subject.others)]
    return HardPicture(picture=picture, subject=seen[0], others=[each for each in seen[1:] if each is not None])


#: Each condition by its name in the table.
CONDITIONS: Final[dict[str, Condition]] = {
    "as it is": unchanged,
    **{f"small, {side} pixels": partial(small, side_pixels=side) for side in (60, 40, 30, 20)},
    **{f"tilted, {degrees} degrees": partial(tilted, degrees=degrees) for degrees in (15, 30, 45)},
    **{f"hidden, {part}": partial(hidden, part=part) for part in ("eyes", "mouth", "left half", "right half")},
    "dark": partial(dark, gamma=2.2, gain=0.5),
    "very dark": partial(dark, gamma=2.2, gain=0.15),
    **{f"cut, {edge}": partial(cut, edge=edge, share=0.25) for edge in ("left", "top", "right", "bottom")},
    "without faces": without_faces,
    "scrambled": scrambled,
}


def _middle(box: Box) -> NDArray[np.float64]:
    return np.array([box.left + box.right, box.top + box.bottom]) / 2


def _moved(box: Box, *, scale: float = 1.0, left: float, top: float) -> Box:
    """Return the box in a picture that is scaled, and then begins at left and top."""
    return Box(
        left=box.left * scale - left,
        top=box.top * scale - top,
        right=box.right * scale - left,
        bottom=box.bottom * scale - top,
    )


def _seen(box: Box, picture: Image) -> Box | None:
    """Return what of the box lies in the picture; None where nothing does."""
    height, width = picture.shape[:2]
    left, top = max(0.0, box.left), max(0.0, box.top)
    right, bottom = min(float(width), box.right), min(float(height), box.bottom)
    return Box(left=left, top=top, right=right, bottom=bottom) if left < right and top < bottom else None

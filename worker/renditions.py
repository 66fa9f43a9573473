"""Renditions: what people look at, made from the same decoded picture in which the faces were found.

They are upright, in sRGB, JPEG and without metadata. The chain is whole, preview, thumbnail: each is made from the one
before. A crop is made from the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.images.decoding import DecodedImage
from worker.images.halving import halved
from worker.recognition.interfaces import Box, Image

#: The longer side of each rendition in pixels; smaller pictures keep their size.
THUMBNAIL_SIDE_PIXELS: Final = 320
PREVIEW_SIDE_PIXELS: Final = 2048
FACE_SIDE_PIXELS: Final = 256
#: The side of a face's crop, as a multiple of the longer side of its box: the whole head is on it.
FACE_MARGIN: Final = 1.6
#: On libjpeg's scale (1 to 100).
_THUMBNAIL_QUALITY: Final = 80
_PREVIEW_QUALITY: Final = 85
_FACE_QUALITY: Final = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class Renditions:
    """The renditions of one picture: JPEG files. `faces` are in the order in which the boxes were given."""

    #: None if only the faces were asked for.
    pictures: "Pictures | None"
    faces: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenditionNames:
    """What saved renditions are called: thumbnail and preview together, and each face's. Empty where none is saved."""

    pictures: str = ""
    faces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The renditions that show the whole picture."""

    thumbnail: bytes
    preview: bytes


def renditions_of(picture: DecodedImage, boxes: Sequence[Box], *, only_faces: bool = False) -> Renditions:
    """Return the renditions of a picture with faces in these boxes, in pixels of the whole picture."""
    pictures = None if only_faces else _pictures(picture)
    return Renditions(pictures=pictures, faces=_face_crops(picture, boxes))


def _pictures(picture: DecodedImage) -> Pictures:
    preview = _shrunk(picture.pixels, PREVIEW_SIDE_PIXELS)
    thumbnail = _shrunk(preview, THUMBNAIL_SIDE_PIXELS)
    return Pictures(thumbnail=_jpeg(thumbnail, _THUMBNAIL_QUALITY), preview=_jpeg(preview, _PREVIEW_QUALITY))


def _face_crops(picture: DecodedImage, boxes: Sequence[Box]) -> tuple[bytes, ...]:
    """Return a square crop around each face, smaller where the picture ends."""
    return tuple(_jpeg(_shrunk(_around(picture, box), FACE_SIDE_PIXELS), _FACE_QUALITY) for box in boxes)


def _around(picture: DecodedImage, box: Box) -> Image:
    height, width = picture.pixels.shape[:2]
    center_x = ((box.left + box.right) / 2 - picture.origin[0]) * picture.scale
    center_y = ((box.top + box.bottom) / 2 - picture.origin[1]) * picture.scale
    half = max(box.width, box.height) * picture.scale * FACE_MARGIN / 2
    left, right = (min(max(round(x), 0), width) for x in (center_x - half, center_x + half))
    top, bottom = (min(max(round(y), 0), height) for y in (center_y - half, center_y + half))
    # A box may lie outside of the picture altogether: then the crop is the pixel that is nearest to it.
    left, top = min(left, width - 1), min(top, height - 1)
    return picture.pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def _shrunk(picture: Image, side_pixels: int) -> Image:
    """Return the picture with its longer side reduced to `side_pixels`; unchanged if that is no longer.

    It is halved while more than twice the size, and then sampled bilinearly: up to a factor of 2 that skips no pixel.
    """
    import cv2  # here: beat and Flower import this module with the tasks, and must load no image library

    height, width = picture.shape[:2]
    factor = side_pixels / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    while max(picture.shape[:2]) >= 2 * side_pixels and min(picture.shape[:2]) >= 2:
        picture = halved(picture)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _jpeg(picture: Image, quality: int) -> bytes:
    import cv2

    _, file = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return file.tobytes()

"""One picture at the scales at which a detector looks at it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.recognition.interfaces import Image

Floats = NDArray[np.float32]

#: What is beyond the edge of a picture: the grey that MTCNN's networks take for 0.
BEYOND_GREY = 128
#: A crop is taken from the picture halved as long as more than this many of its pixels fall on a pixel of the crop:
#: from 2 on, bilinear sampling skips pixels and turns fine texture into noise; much earlier, halving blurs.
HALVED_FROM = 1.5
#: OpenCV maps pictures of at most 32,767 rows; this many crops of 48 pixels are fewer.
_CROPS_AT_ONCE = 512


class Pyramid:
    """A picture and its halves. Boxes are in pixels of the picture, edge to edge: 0 is its left or upper edge."""

    def __init__(self, picture: Image) -> None:
        self.picture = picture
        #: The picture, its half, the half of that and so on, as far as they were needed.
        self._halves = [picture]

    def at(self, width: int, height: int) -> Image:
        """Return the picture at that size in pixels, averaged by area; from a half where that is larger."""
        times = 0
        while min(self._half(times).shape[0] // height, self._half(times).shape[1] // width) >= 2:
            times += 1
        return _resized(self._half(times), width, height)

    def crops(self, boxes: Floats, side_pixels: int) -> NDArray[np.uint8]:
        """Return what is in the boxes (n, 4: left, top, right, bottom), grey beyond the picture's edge.

        uint8 BGR, shape (n, side_pixels, side_pixels, 3).
        """
        crops = np.empty((len(boxes), side_pixels, side_pixels, 3), np.uint8)
        density = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) / side_pixels
        halvings = np.ceil(np.log2(np.maximum(density / HALVED_FROM, 1))).astype(int)
        for halving in set(halvings.tolist()):
            rows = np.flatnonzero(halvings == halving)
            for start in range(0, len(rows), _CROPS_AT_ONCE):
                chosen = rows[start : start + _CROPS_AT_ONCE]
                crops[chosen] = self._sampled(self._half(halving), boxes[chosen], side_pixels)
        return crops

    def _half(self, times: int) -> Image:
        """Return the picture halved that many times. Where a side is odd, its half is a little more than half."""
        while len(self._halves) <= times:
            height, width = self._halves[-1].shape[:2]
            self._halves.append(_resized(self._halves[-1], (width + 1) // 2, (height + 1) // 2))
        return self._halves[times]

    def _sampled(self, half: Image, boxes: Floats, side_pixels: int) -> NDArray[np.uint8]:
        """Return crops of one half of the picture, all in one call of OpenCV."""
        height, width = self.picture.shape[:2]
        scale = np.array([half.shape[1] / width, half.shape[0] / height], np.float32)
        starts, sides = boxes[:, :2] * scale, (boxes[:, 2:] - boxes[:, :2]) * scale
        # Pixel i of a crop is the middle of its share of the box; OpenCV counts from the middle of the first pixel.
        middles = (np.arange(side_pixels, dtype=np.float32) + 0.5) / side_pixels
        places = starts[:, :, None] + sides[:, :, None] * middles - 0.5
        sampled = cv2.remap(
            half,
            places[:, 0].repeat(side_pixels, axis=0),
            places[:, 1].repeat(side_pixels).reshape(-1, side_pixels),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(BEYOND_GREY,) * 3,
        )
        return np.asarray(sampled, np.uint8).reshape(-1, side_pixels, side_pixels, 3)


def _resized(picture: Image, width: int, height: int) -> Image:
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

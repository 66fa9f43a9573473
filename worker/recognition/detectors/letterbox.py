"""From a picture of any size to the square that a detector is given, and its faces back into the picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.recognition.interfaces import Box, Detection, Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterboxed:
    """A square picture; `scale` is its pixels per pixel of the original, the same along both sides."""

    pixels: Image
    scale: float


def letterboxed(image: Image, side_pixels: int) -> Letterboxed | None:
    """Return the picture enlarged or shrunk to fit into the square's upper left corner, on black.

    None when its short side would shrink to nothing. The arithmetic is that of InsightFace's `SCRFD.detect` (MIT), to
    the pixel, so that boxes can be compared.
    """
    height, width = image.shape[:2]
    ratio = height / width
    size = (int(side_pixels / ratio), side_pixels) if ratio > 1 else (side_pixels, int(side_pixels * ratio))
    if 0 in size:
        return None
    square = np.zeros((side_pixels, side_pixels, 3), np.uint8)
    if size == (width, height):
        square[:height, :width] = image
    else:
        square[: size[1], : size[0]] = cv2.resize(image, size)
    return Letterboxed(pixels=square, scale=size[1] / height)


def detections(
    image: Image, scale: float, scores: NDArray[np.float32], boxes: NDArray[np.float32], landmarks: NDArray[np.float32]
) -> list[Detection]:
    """Return the faces in pixels of the image, cut off at its edges; boxes outside it are left out.

    Boxes (n, 4) and landmarks (n, 5, 2) are in pixels of the square, which has `scale` of them per pixel of the image.
    """
    height, width = image.shape[:2]
    corners = np.clip(boxes / scale, 0, (width, height, width, height)).tolist()
    return [
        Detection(
            box=Box(left=left, top=top, right=right, bottom=bottom),
            landmarks=(points / scale).astype(np.float32),
            score=min(1.0, float(score)),
        )
        for (left, top, right, bottom), score, points in zip(corners, scores, landmarks, strict=True)
        if left < right and top < bottom
    ]

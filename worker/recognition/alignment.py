"""From five landmarks to the aligned crop that a recognizer was trained on."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.recognition.interfaces import Alignment, Crop, Image, Landmarks

#: ArcFace's and SFace's crops. The template is `arcface_dst` of InsightFace's `utils/face_align.py` (MIT), for crops of
#: 112 x 112: every InsightFace recognizer was trained on crops like these, and OpenCV's SFace too.
ARCFACE = Alignment(
    side_pixels=112,
    template=np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
        np.float32,
    ),
    interpolation="bilinear",
)
#: With "halved", a picture is halved while more than this many of its pixels fall on one pixel of the crop: from 2 on
#: bilinear sampling alone would skip pixels, and halving much earlier blurs.
_HALVED_FROM = 1.6
#: What "halved" shows beyond the picture's edge: the colours of the edge go on.
_HALVED_BORDER = cv2.BORDER_REPLICATE


def similarity_transform(source: Landmarks, target: Landmarks) -> NDArray[np.float64]:
    """Return the 2 x 3 matrix of rotation, scale and shift (never a mirror) that takes source to target.

    Least squares over the points, in closed form: S. Umeyama, "Least-squares estimation of transformation
    parameters between two point patterns", IEEE TPAMI 13(4), 1991. In two dimensions a rotation with scale is
    one complex number, so the singular value decomposition of the paper becomes a division. If all points coincide, the
    scale is 0.
    """
    # For five points Python's own numbers are several times as fast as arrays.
    source_points, target_points = ([complex(x, y) for x, y in points.tolist()] for points in (source, target))
    source_mean, target_mean = (sum(points) / len(points) for points in (source_points, target_points))
    offsets = [point - source_mean for point in source_points]
    spread = sum(offset.real * offset.real + offset.imag * offset.imag for offset in offsets)
    fit = sum(offset.conjugate() * (point - target_mean) for offset, point in zip(offsets, target_points, strict=True))
    turn = fit / spread if spread > 0 else 0j
    shift = target_mean - turn * source_mean
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def aligned_crop(image: Image, landmarks: Landmarks, alignment: Alignment) -> Crop:
    """Return the face with these landmarks as the alignment's recognizer expects it.

    "bilinear", as InsightFace crops: each pixel of the crop is interpolated between four pixels of the picture, and is
    black beyond the picture's edge. "halved", in the manner of dlib's `extract_image_chips`: first the picture is
    halved, by means of 2 x 2 pixels, while more than _HALVED_FROM of its pixels fall on one of the crop, so that every
    pixel of a large face counts.
    """
    matrix = similarity_transform(landmarks, alignment.template)
    border = cv2.BORDER_CONSTANT
    if alignment.interpolation == "halved":
        image, matrix = _halved(image, matrix, alignment.side_pixels)
        border = _HALVED_BORDER
    side = alignment.side_pixels
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)


def _halved(image: Image, matrix: NDArray[np.float64], side_pixels: int) -> tuple[Image, NDArray[np.float64]]:
    """Return the part of the image that the crop shows, halved as often as needed, and the matrix for it."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    # Written so that landmarks that coincide (no scale) or are not numbers need no halving.
    if not 0 < scale * _HALVED_FROM < 1:
        return image, matrix
    times = math.ceil(math.log2(1 / (scale * _HALVED_FROM)))
    left, top, right, bottom = _shown(image, matrix, side_pixels, step=2**times)
    part: Image = image[top:bottom, left:right]
    for _ in range(times):
        part = _half(part)
    # Pixel centres: pixel s of the halved part covers the picture around (s + 0.5) * step - 0.5 + origin.
    step = 2.0**times
    to_image = np.array([[step, 0, step / 2 - 0.5 + left], [0, step, step / 2 - 0.5 + top], [0, 0, 1]])
    return part, matrix @ to_image


def _shown(image: Image, matrix: NDArray[np.float64], side_pixels: int, *, step: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the part of the image that the crop shows, and at least `step` around it.

    It holds at least one pixel and lies in the image. Its sides are multiples of `step`, or the image's own, so that
    its halves are those of the whole image.
    """
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64) * (side_pixels - 1)
    seen = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    size = np.array([width, height])
    first = np.clip(np.floor(seen.min(axis=0) / step) - 1, 0, (size - 1) // step).astype(int) * step
    last = np.clip((np.ceil(seen.max(axis=0) / step) + 1) * step, first + 1, size).astype(int)
    return int(first[0]), int(first[1]), int(last[0]), int(last[1])


def _half(picture: Image) -> Image:
    """Return the picture at half its size, each pixel the mean of 2 x 2; an odd side's last line is repeated first."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        even = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        picture = np.asarray(even, np.uint8)
        height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)

"""From five landmarks to the aligned crop that a recognizer was trained on."""

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.recognition.interfaces import CROP_SIZE_PIXELS, Crop, Image, Landmarks

#: Where ArcFace expects the five landmarks in a crop of 112 x 112, in pixels: `arcface_dst` of InsightFace's
#: `utils/face_align.py` (MIT). Every InsightFace recognizer was trained on crops like these.
ARCFACE_LANDMARKS: Landmarks = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
#: For smooth crops, faces larger than this many times the crop are first shrunk by area: bilinear sampling alone would
#: skip pixels and turn fine texture into noise.
_SHRINK_FROM = 2.0


def similarity_transform(source: Landmarks, target: Landmarks) -> NDArray[np.float64]:
    """Return the 2 x 3 matrix of rotation, scale and shift (never a mirror) that takes source to target.

    Least squares over the points, in closed form: S. Umeyama, "Least-squares estimation of transformation
    parameters between two point patterns", IEEE TPAMI 13(4), 1991. In two dimensions a rotation with scale is
    one complex number, so the singular value decomposition of the paper becomes a division. If all points coincide, the
    scale is 0.
    """
    source_points = np.asarray(source, np.float64) @ (1, 1j)
    target_points = np.asarray(target, np.float64) @ (1, 1j)
    source_mean, target_mean = source_points.mean(), target_points.mean()
    offsets = source_points - source_mean
    spread = float(np.vdot(offsets, offsets).real)
    turn = np.vdot(offsets, target_points - target_mean) / spread if spread > 0 else 0j
    shift = target_mean - turn * source_mean
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def aligned_crop(image: Image, landmarks: Landmarks, *, is_smooth: bool = False) -> Crop:
    """Return the face as ArcFace expects it: uint8 BGR, shape (112, 112, 3).

    By default as InsightFace's models were trained: bilinear, and black beyond the picture's edge. With `is_smooth` a
    large face is shrunk by area, and the colours of the picture's edge continue beyond it.
    """
    matrix = similarity_transform(landmarks, ARCFACE_LANDMARKS)
    if is_smooth:
        image, matrix = _shrunk(image, matrix)
    border = cv2.BORDER_REPLICATE if is_smooth else cv2.BORDER_CONSTANT
    crop = cv2.warpAffine(image, matrix, (CROP_SIZE_PIXELS, CROP_SIZE_PIXELS), borderMode=border)
    return np.asarray(crop, np.uint8)


def _shrunk(image: Image, matrix: NDArray[np.float64]) -> tuple[Image, NDArray[np.float64]]:
    """Return the part of the image that the crop shows, at about the crop's size, and the matrix for it."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if not 0 < scale * _SHRINK_FROM < 1:
        return image, matrix
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64) * CROP_SIZE_PIXELS
    seen = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    left, top = np.clip(np.floor(seen.min(axis=0)), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(seen.max(axis=0)), (left + 1, top + 1), (width, height)).astype(int)
    part = image[top:bottom, left:right]
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    ratio = np.array([part.shape[1] / size[0], part.shape[0] / size[1]])
    # Pixel centres: small pixel s covers the source around (s + 0.5) * ratio - 0.5.
    to_source = np.array([[ratio[0], 0, ratio[0] / 2 - 0.5 + left], [0, ratio[1], ratio[1] / 2 - 0.5 + top], [0, 0, 1]])
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), matrix @ to_source

"""SCRFD, the detector of the InsightFace packs: pixels in, boxes and landmarks out.

J. Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022. What surrounds the model
here is the arithmetic of InsightFace's `SCRFD.detect` (MIT), in another order: anchors are thrown away by their score
before their boxes are computed, which leaves some dozens of 16,800.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.recognition.detectors.letterbox import detections, letterboxed
from worker.recognition.interfaces import Detection, Image
from worker.recognition.model import OnnxModel

#: Every picture is letterboxed to this one square. SCRFD was trained on it, and one size means one session.
SIDE_PIXELS = 640
#: Of two boxes that overlap by more (intersection over union), the one with the lower score goes. InsightFace's value.
_SAME_FACE_OVERLAP = 0.4
#: What a pixel becomes before it goes into a published model: (pixel - mean) / deviation.
MEAN, DEVIATION = 127.5, 128.0

#: The levels of the feature pyramid: pixels between anchors, and anchors at each place.
Levels = tuple[tuple[int, ...], int]
#: By the number of outputs of a model that finds landmarks (scores, boxes, landmarks for each level).
LEVELS_BY_OUTPUT_COUNT: dict[int, Levels] = {9: ((8, 16, 32), 2), 15: ((8, 16, 32, 64, 128), 1)}


class ScrfdDetector:
    """Finds faces with one SCRFD model. Safe to share between threads."""

    def __init__(
        self,
        model: OnnxModel,
        *,
        levels: Levels,
        takes_pixels: bool,
        mean: float = MEAN,
        deviation: float = DEVIATION,
        faintest_score: float,
    ) -> None:
        """`takes_pixels`: the graph normalises uint8 (h, w, 3) itself. Fainter faces are not returned."""
        self._model = model
        self._levels = levels
        self._takes_pixels = takes_pixels
        self._mean, self._deviation = mean, deviation
        self._faintest_score = faintest_score

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        boxed = [letterboxed(image, SIDE_PIXELS) for image in images]
        outputs = iter(self._model.run([self._input(each.pixels) for each in boxed if each is not None]))
        return [
            [] if each is None else self._detections(next(outputs), each.scale, image)
            for each, image in zip(boxed, images, strict=True)
        ]

    def warm_up(self) -> None:
        """Run the model at every batch size it will be given."""
        self._model.warm_up(self._input(np.full((SIDE_PIXELS, SIDE_PIXELS, 3), 128, np.uint8)))

    def _input(self, pixels: Image) -> NDArray[Any]:
        return pixels if self._takes_pixels else normalised(pixels, mean=self._mean, deviation=self._deviation)

    def _detections(self, outputs: Sequence[NDArray[np.float32]], scale: float, image: Image) -> list[Detection]:
        """Return the faces in pixels of the image, best first. Outputs: scores, boxes, landmarks, a row per anchor."""
        strides, anchors = self._levels
        found = [
            _above(self._faintest_score, stride, anchors, *outputs[level :: len(strides)])
            for level, stride in enumerate(strides)
        ]
        scores, boxes, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(-scores, kind="stable")
        # In pixels of the image, as InsightFace compares them.
        whole = (boxes[order] / scale).astype(np.float32)
        rows = order[without_overlaps(whole, _SAME_FACE_OVERLAP)]
        return detections(image, scale, scores[rows], boxes[rows], landmarks[rows])


def normalised(pixels: Image, *, mean: float, deviation: float) -> NDArray[np.float32]:
    """Return (pixel - mean) / deviation in the order red, green, blue; float32, shape (3, h, w)."""
    planes = pixels[:, :, ::-1].transpose(2, 0, 1).astype(np.float32, order="C")
    planes -= np.float32(mean)
    planes *= np.float32(1 / deviation)
    return planes


def without_overlaps(boxes: NDArray[np.float32], overlap: float) -> list[int]:
    """Return the indices of the boxes to keep, of boxes sorted by falling score (greedy non-maximum suppression).

    Boxes are rows of left, top, right, bottom. A side counts one pixel more than the difference of its ends, as in
    InsightFace.
    """
    left, top, right, bottom = boxes.T
    areas = (right - left + 1) * (bottom - top + 1)
    kept: list[int] = []
    rest = np.arange(len(boxes))
    while len(rest):
        best, rest = int(rest[0]), rest[1:]
        kept.append(best)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + 1
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + 1
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        rest = rest[shared / (areas[best] + areas[rest] - shared) <= overlap]
    return kept


def _above(
    faintest_score: float,
    stride: int,
    anchors: int,
    scores: NDArray[np.float32],
    distances: NDArray[np.float32],
    offsets: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return scores (n), boxes (n, 4) and landmarks (n, 5, 2) of one level's anchors, in pixels of the square."""
    rows = np.flatnonzero(scores.ravel() >= faintest_score)
    places = _places(stride, anchors)[rows]
    reach = distances[rows] * stride
    boxes = np.concatenate([places - reach[:, :2], places + reach[:, 2:]], axis=1)
    landmarks = places[:, None] + offsets[rows].reshape(-1, 5, 2) * stride
    return scores.ravel()[rows], boxes, landmarks


@lru_cache
def _places(stride: int, anchors: int) -> NDArray[np.float32]:
    """Return where a level's anchors are in the square: x and y in pixels, row by row."""
    side = SIDE_PIXELS // stride
    y, x = np.mgrid[:side, :side]
    return np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), anchors, axis=0).astype(np.float32) * stride

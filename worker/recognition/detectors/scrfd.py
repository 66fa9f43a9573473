"""SCRFD, the detector of the InsightFace packs: pixels in, boxes and landmarks out.

J. Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022. The arithmetic around
the model is that of InsightFace's `SCRFD.detect` (MIT).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.recognition.detectors.anchors import AnchorDetector, Floats, Heads, Levels
from worker.recognition.interfaces import Image
from worker.recognition.model import OnnxModel
from worker.recognition.planes import normalised_rgb_planes

#: The side of the input. SCRFD was trained on this square, and one size means one session.
SIDE_PIXELS = 640
#: Of two boxes that overlap by more (intersection over union), the one with the lower score goes. InsightFace's value.
_SAME_FACE_OVERLAP = 0.4
#: What a pixel becomes before it goes into a published model: (pixel - mean) / deviation.
MEAN, DEVIATION = 127.5, 128.0

#: By the number of outputs of a model that gives landmarks: scores, boxes and landmarks of each level.
LEVELS_BY_OUTPUT_COUNT = {9: Levels((8, 16, 32), anchors=2), 15: Levels((8, 16, 32, 64, 128))}


class ScrfdDetector(AnchorDetector):
    """Detects faces with one SCRFD model. Safe to share between threads."""

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
        """`takes_pixels`: the graph normalises uint8 (h, w, 3) itself. Faces under `faintest_score` are left out."""
        heads = ("scores", "boxes", "landmarks")
        super().__init__(
            model,
            side_pixels=SIDE_PIXELS,
            levels=levels,
            output_indices=range(len(heads) * len(levels.strides)),
            faintest_score=faintest_score,
        )
        self._takes_pixels = takes_pixels
        self._mean, self._deviation = mean, deviation

    def _input(self, pixels: Image) -> NDArray[Any]:
        if self._takes_pixels:
            return pixels
        return normalised_rgb_planes(pixels, mean=self._mean, deviation=self._deviation)

    def _scores(self, heads: Heads) -> Floats:
        return heads[0].ravel()

    def _faces(self, heads: Heads, rows: NDArray[np.intp], places: Floats, stride: int) -> tuple[Floats, Floats]:
        """The model gives the distances of a box's edges and of landmarks from the anchor, in strides."""
        _, distances, offsets = heads
        anchors, reach = places * stride, distances[rows] * stride
        boxes = np.concatenate([anchors - reach[:, :2], anchors + reach[:, 2:]], axis=1)
        return boxes, anchors[:, None] + offsets[rows].reshape(-1, 5, 2) * stride

    def _kept(self, scores: Floats, boxes: Floats, scale: float) -> Sequence[int]:
        order = np.argsort(-scores, kind="stable")
        # In pixels of the image, as InsightFace compares them.
        whole = (boxes[order] / scale).astype(np.float32)
        return [int(row) for row in order[without_overlaps(whole, _SAME_FACE_OVERLAP)]]


def without_overlaps(boxes: Floats, overlap: float) -> list[int]:
    """Return the indices of the boxes to keep, of boxes sorted by descending score (greedy non-maximum suppression).

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

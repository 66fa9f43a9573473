"""ArcFace, the recognizer of the InsightFace packs: aligned crops in, unit vectors out.

J. Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.recognition.alignment import ARCFACE
from worker.recognition.interfaces import Crop, Embeddings
from worker.recognition.model import OnnxModel
from worker.recognition.planes import normalised_rgb_planes


class ArcFaceRecognizer:
    """Embeds aligned faces with one model. Safe to share between threads."""

    def __init__(self, model: OnnxModel, *, takes_pixels: bool, mean: float, deviation: float) -> None:
        """`takes_pixels`: the graph normalises uint8 (h, w, 3) itself; else a pixel becomes (pixel - mean) / deviation.

        Runs one crop to learn the dimension: the output shape in the file may be symbolic.
        """
        self._model = model
        self._takes_pixels = takes_pixels
        self._mean, self._deviation = mean, deviation
        [[blank]] = model.run([self._input(_blank())])
        self.dimension = blank.size

    def embed(self, crops: Sequence[Crop]) -> Embeddings:
        rows = [row.ravel() for [row] in self._model.run([self._input(crop) for crop in crops])]
        return unit_rows(np.array(rows, np.float32).reshape(-1, self.dimension))

    def warm_up(self) -> None:
        """Run the model at every batch size it will be given."""
        self._model.warm_up(self._input(_blank()))

    def _input(self, crop: Crop) -> NDArray[Any]:
        if self._takes_pixels:
            return crop
        return normalised_rgb_planes(crop, mean=self._mean, deviation=self._deviation)


def unit_rows(rows: NDArray[np.float32]) -> Embeddings:
    """Return the rows scaled to length 1; a row of zeros is returned unchanged."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _blank() -> Crop:
    return np.full((ARCFACE.side_pixels, ARCFACE.side_pixels, 3), 128, np.uint8)

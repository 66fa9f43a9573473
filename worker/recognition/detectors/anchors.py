"""What detectors with anchors share: one square input, and outputs with a row per anchor of each level.

An architecture's own file says how pixels become input, what an anchor's score is, how its box and landmarks are
decoded, and which of two overlapping boxes stays. Scores are filtered first: of many thousands of anchors only a few
dozen are decoded.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.recognition.detectors.letterbox import detections, letterboxed
from worker.recognition.interfaces import Detection, Image
from worker.recognition.model import OnnxModel

Floats = NDArray[np.float32]
#: The outputs of one level, one per head (scores, boxes, landmarks, ...), with a row per anchor.
Heads = Sequence[Floats]


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of a feature pyramid: the pixels between a level's places (`strides`), and the anchors per place."""

    strides: tuple[int, ...]
    anchors: int = 1


class AnchorDetector(ABC):
    """Detects faces with one model. Safe to share between threads."""

    def __init__(
        self,
        model: OnnxModel,
        *,
        side_pixels: int,
        levels: Levels,
        output_indices: Sequence[int],
        faintest_score: float,
    ) -> None:
        """Every picture is letterboxed to a square of `side_pixels`. Faces under `faintest_score` are not returned.

        `output_indices` say where the heads are among the model's outputs: each head for all levels, then the next.
        """
        self._model = model
        self.side_pixels = side_pixels
        self._levels = levels
        self._output_indices = output_indices
        self._faintest_score = faintest_score

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        boxed = [letterboxed(image, self.side_pixels) for image in images]
        outputs = iter(self._model.run([self._input(each.pixels) for each in boxed if each is not None]))
        return [
            [] if each is None else self._detections(next(outputs), each.scale, image)
            for each, image in zip(boxed, images, strict=True)
        ]

    def warm_up(self) -> None:
        """Run the model at every batch size it will be given."""
        self._model.warm_up(self._input(np.full((self.side_pixels, self.side_pixels, 3), 128, np.uint8)))

    @abstractmethod
    def _input(self, pixels: Image) -> NDArray[Any]:
        """Return what the model takes for a letterboxed picture."""

    @abstractmethod
    def _scores(self, heads: Heads) -> Floats:
        """Return the score of each anchor of a level; shape (anchors,)."""

    @abstractmethod
    def _faces(self, heads: Heads, rows: NDArray[np.intp], places: Floats, stride: int) -> tuple[Floats, Floats]:
        """Return boxes (n, 4) and landmarks (n, 5, 2) of these anchors, in pixels of the square.

        `places` are the anchors' columns and rows, counted in strides; shape (n, 2).
        """

    @abstractmethod
    def _kept(self, scores: Floats, boxes: Floats, scale: float) -> Sequence[int]:
        """Return the indices of the boxes that stay where some overlap, best score first."""

    def _detections(self, outputs: Sequence[Floats], scale: float, image: Image) -> list[Detection]:
        """Return the faces in pixels of the image, best first."""
        heads = [outputs[index] for index in self._output_indices]
        strides = self._levels.strides
        found = [self._above(stride, heads[level :: len(strides)]) for level, stride in enumerate(strides)]
        scores, boxes, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = self._kept(scores, boxes, scale)
        return detections(image, scale, scores[kept], boxes[kept], landmarks[kept])

    def _above(self, stride: int, heads: Heads) -> tuple[Floats, Floats, Floats]:
        """Return scores (n), boxes (n, 4) and landmarks (n, 5, 2) of a level's anchors that reach `faintest_score`."""
        scores = self._scores(heads)
        rows = np.flatnonzero(scores >= self._faintest_score)
        places = _places(self.side_pixels // stride, self._levels.anchors)[rows]
        return scores[rows], *self._faces(heads, rows, places, stride)


@lru_cache
def _places(side: int, anchors: int) -> Floats:
    """Return column and row of each anchor of a level with `side` places a side, row by row."""
    y, x = np.mgrid[:side, :side]
    return np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), anchors, axis=0).astype(np.float32)

"""dlib's face recognition network: aligned crops in, unit vectors of 128 values out.

A ResNet with 29 convolutions, made by Davis King (dlib.net, "High Quality Face Recognition with Deep Metric Learning",
2017), after K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from worker.recognition.interfaces import Alignment, Crop, Embeddings, Landmarks
from worker.recognition.model import OnnxModel
from worker.recognition.recognizers.arcface import unit_rows

#: Where MTCNN's five points lie in dlib's own crops, in pixels: the mean over 1,053 photos of LFW's people of A to E,
#: each cropped by dlib's HOG detector and 5-point predictor, in which our detector then finds the face.
_TEMPLATE: Landmarks = np.array(
    [[47.101, 45.257], [101.655, 45.068], [74.114, 77.181], [50.152, 104.446], [98.356, 104.392]], np.float32
)
ALIGNMENT: Final = Alignment(side_pixels=150, template=_TEMPLATE, interpolation="halved")
#: Crops per run on the CPU: a run of 16 takes a tenth less time for each than a run of one.
CPU_BATCH_SIZES: Final = (1, 2, 4, 8, 16)


class DlibRecognizer:
    """Embeds aligned faces with dlib's network. Safe to share between threads."""

    def __init__(self, model: OnnxModel, *, mirrors: bool) -> None:
        """`mirrors`: embed each crop and its mirror image, and return the direction of the mean.

        That takes twice as long, and finds a few more people (docs/models.md). Runs one crop to learn the dimension.
        """
        self._model = model
        self._mirrors = mirrors
        [[blank]] = model.run([_blank()])
        self.dimension = blank.size

    def embed(self, crops: Sequence[Crop]) -> Embeddings:
        if not crops:
            return np.empty((0, self.dimension), np.float32)
        seen = [*crops, *(_mirrored(crop) for crop in crops)] if self._mirrors else crops
        rows = np.array([row for (row,) in self._model.run(seen)], np.float32)
        return unit_rows(rows.reshape(-1, len(crops), self.dimension).sum(axis=0))  # as long as the mean, or twice

    def warm_up(self) -> None:
        """Run the model at every batch size it will be given."""
        self._model.warm_up(_blank())


def _mirrored(crop: Crop) -> Crop:
    return np.asarray(cv2.flip(crop, 1), np.uint8)


def _blank() -> Crop:
    return np.full((ALIGNMENT.side_pixels, ALIGNMENT.side_pixels, 3), 128, np.uint8)

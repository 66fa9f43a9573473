"""YuNet, the detector of the OpenCV Zoo pack: pixels in, boxes and landmarks out.

W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20, 2023. The
arithmetic around the model is that of OpenCV's `FaceDetectorYN` (Apache-2.0).
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.errors import PackDamaged
from worker.recognition.detectors.anchors import AnchorDetector, Floats, Heads, Levels
from worker.recognition.interfaces import Image
from worker.recognition.model import OnnxModel
from worker.recognition.packs.files import onnx_model
from worker.recognition.planes import bgr_planes

#: The side of the input when the file leaves it open; the published file has 640.
SIDE_PIXELS = 640
_LEVELS = Levels((8, 16, 32))
#: The model's outputs: a row per anchor of the level, of two scores, a box and five landmarks.
_OUTPUTS = [f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in _LEVELS.strides]
#: Of two boxes that overlap by more (intersection over union), the one with the lower score goes. OpenCV's value.
_SAME_FACE_OVERLAP = 0.3


class YuNetDetector(AnchorDetector):
    """Detects faces with one YuNet model. Safe to share between threads."""

    def __init__(self, model: OnnxModel, *, output_indices: Sequence[int], faintest_score: float) -> None:
        """`output_indices` come from the function below. Faces under `faintest_score` are not returned."""
        side = model.input_shape[2]
        super().__init__(
            model,
            side_pixels=side if isinstance(side, int) else SIDE_PIXELS,
            levels=_LEVELS,
            output_indices=output_indices,
            faintest_score=faintest_score,
        )

    def _input(self, pixels: Image) -> Floats:
        return bgr_planes(pixels)

    def _scores(self, heads: Heads) -> Floats:
        classes, objects, *_ = heads
        return np.asarray(np.sqrt(np.clip(classes.ravel(), 0, 1) * np.clip(objects.ravel(), 0, 1)), np.float32)

    def _faces(self, heads: Heads, rows: NDArray[np.intp], places: Floats, stride: int) -> tuple[Floats, Floats]:
        """The model gives centre and landmarks as distances from the anchor, sides as logarithms; all in strides."""
        *_, boxes, landmarks = heads
        values = boxes.reshape(-1, 4)[rows]
        centres, half_sides = places + values[:, :2], np.exp(values[:, 2:]) / 2
        corners = np.concatenate([centres - half_sides, centres + half_sides], axis=1)
        # The person's right eye, left eye, nose, right and left corner of the mouth: for a viewer, left comes first.
        points = places[:, None] + landmarks.reshape(-1, 5, 2)[rows]
        return corners * stride, points * stride

    def _kept(self, scores: Floats, boxes: Floats, scale: float) -> Sequence[int]:
        """Like OpenCV, compare boxes in whole pixels of the square."""
        rectangles = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.int64)
        kept = cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), 0.0, _SAME_FACE_OVERLAP)
        return [int(index) for index in kept]


def output_indices(file: Path) -> list[int]:
    """Return where cls, obj, bbox and kps of strides 8, 16 and 32 are among the file's outputs.

    Raises PackDamaged when the file is not a YuNet of 2023.
    """
    graph = onnx_model(file).graph
    names = [output.name for output in graph.output]
    sides = {axis.dim_value for taken in graph.input[:1] for axis in taken.type.tensor_type.shape.dim[2:]}
    is_square = len(sides) == 1 and not any(side % _LEVELS.strides[-1] for side in sides)  # 0 stands for any
    if not is_square or any(name not in names for name in _OUTPUTS):
        raise PackDamaged(
            f"{file} is not a model that facequeue knows: it must be YuNet in its 2023 version (2023mar), with the "
            f"outputs {', '.join(_OUTPUTS)}."
        )
    return [names.index(name) for name in _OUTPUTS]

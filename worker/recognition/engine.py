"""FaceEngine: pictures in, faces with embeddings out. It owns the loaded pack."""

from collections.abc import Iterable, Sequence
from itertools import islice

from worker.config import FaceConfig
from worker.errors import NotOpen
from worker.recognition.alignment import aligned_crop
from worker.recognition.interfaces import (
    CROP_SIZE_PIXELS,
    Detection,
    Face,
    Findings,
    FoundFace,
    Image,
    Landmarks,
    Pack,
    Reduction,
    RejectedFace,
    RejectReason,
)
from worker.recognition.packs.loading import load_pack
from worker.recognition.quality import quality


class FaceEngine:
    """Finds and describes faces with one pack. After `open()` it is safe to share between threads.

    `find` and `describe` are the two halves of `faces`: a caller with many large pictures finds in one after the
    other, keeps only the crops, and describes all faces together. Callers on many threads share model runs.
    """

    def __init__(self, config: FaceConfig) -> None:
        self.config = config
        self._pack: Pack | None = None

    def open(self) -> None:
        """Load the pack and run it at every size of a run; blocks for seconds. Does nothing when it is open already.

        Call it after a fork, never before: sessions do not survive one. Raises PackMissing, PackDamaged, ConfigError.
        """
        if self._pack is not None:
            return
        pack = load_pack(self.config)
        # A model's first run of each size allocates its buffers, or builds an engine: no caller should wait for that.
        pack.detector.warm_up()
        pack.recognizer.warm_up()
        self._pack = pack

    def close(self) -> None:
        """Let the models go; who waits for them gets NotOpen. Safe to call twice, and before open()."""
        pack, self._pack = self._pack, None
        for model in pack.models if pack else ():
            model.close()

    @property
    def is_open(self) -> bool:
        return self._pack is not None

    @property
    def is_healthy(self) -> bool:
        """Whether it is open and all of its models take work. Never raises."""
        return self._pack is not None and all(model.is_healthy for model in self._pack.models)

    @property
    def pack(self) -> Pack:
        """The loaded pack; raises NotOpen before open() and after close()."""
        if self._pack is None:
            raise NotOpen("The face engine is not open: call open() before using it, and not after close().")
        return self._pack

    def faces(self, images: Sequence[Image]) -> list[list[Face]]:
        """Return the faces of each picture, in the order given, best score first.

        Blocks while the models run. Raises NotOpen, Busy (too much waits for a model).
        """
        return self.describe([self.find(image).faces for image in images])

    def find(self, image: Image, *, reduction: Reduction | None = None) -> Findings:
        """Return the faces of one picture, aligned, and those that FaceConfig's thresholds reject, with the reason.

        Of a picture that was reduced, boxes and landmarks are those in the whole one; faces too small for a good crop
        are cut from the whole one. Raises NotOpen, Busy, and what `reduction.whole` raises.
        """
        [found] = self.pack.detector.detect([image])
        return self._findings(
            image, [(each, reduction.in_whole(each) if reduction else each) for each in found], reduction
        )

    def cut(self, image: Image, detections: Sequence[Detection], *, reduction: Reduction | None = None) -> Findings:
        """Return what `find` returns where it finds these faces, given in pixels of the whole picture; runs no model.

        Raises NotOpen, and what `reduction.whole` raises.
        """
        pairs = [(reduction.in_reduced(each) if reduction else each, each) for each in detections]
        return self._findings(image, pairs, reduction)

    def describe(self, found: Sequence[Sequence[FoundFace]]) -> list[list[Face]]:
        """Return the faces with their embeddings, grouped as given. Raises NotOpen, Busy."""
        flat = [face for faces in found for face in faces]
        embeddings = self.pack.recognizer.embed([face.crop for face in flat])
        described = (
            Face(
                box=face.detection.box,
                landmarks=face.detection.landmarks,
                score=face.detection.score,
                quality=face.quality,
                embedding=embedding,
            )
            for face, embedding in zip(flat, embeddings, strict=True)
        )
        return [list(islice(described, len(faces))) for faces in found]

    def _findings(
        self, image: Image, detections: Iterable[tuple[Detection, Detection]], reduction: Reduction | None
    ) -> Findings:
        """Judge faces that are given twice: in pixels of `image`, and of the whole picture."""
        faces: list[FoundFace] = []
        rejected: list[RejectedFace] = []
        for detection, in_whole in detections:
            source, landmarks = image, detection.landmarks
            if reduction and min(detection.box.width, detection.box.height) < CROP_SIZE_PIXELS:
                source, landmarks = reduction.whole(), in_whole.landmarks
            judged = self._judged(source, landmarks, in_whole)
            if isinstance(judged, FoundFace):
                faces.append(judged)
            else:
                rejected.append(RejectedFace(box=in_whole.box, score=in_whole.score, reason=judged))
        return Findings(faces=tuple(faces), rejected=tuple(rejected))

    def _judged(self, source: Image, landmarks: Landmarks, detection: Detection) -> FoundFace | RejectReason:
        """Cut the face out of `source`, where its landmarks are `landmarks`, unless it is rejected."""
        config, box = self.config, detection.box
        if detection.score < config.min_face_score:
            return "low_score"
        if min(box.width, box.height) < config.min_face_pixels:
            return "too_small"
        crop = aligned_crop(source, landmarks, is_smooth=self.pack.smooth_crops)
        worth = quality(box=box, landmarks=detection.landmarks, crop=crop)
        if worth < config.min_face_quality:
            return "low_quality"
        return FoundFace(detection=detection, crop=crop, quality=worth)

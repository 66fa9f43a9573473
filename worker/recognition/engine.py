"""FaceEngine: pictures in, faces with embeddings out. It owns the loaded pack."""

from collections.abc import Iterable, Sequence
from itertools import islice

from worker.config import FaceConfig
from worker.errors import NotOpen
from worker.gates import PictureGate
from worker.reasons import RejectCode
from worker.recognition.alignment import aligned_crop
from worker.recognition.interfaces import (
    AlignedFace,
    DetectedFaces,
    Detection,
    Face,
    Image,
    Pack,
    Reduction,
    RejectedFace,
)
from worker.recognition.packs.loading import load_pack
from worker.recognition.quality import quality


class FaceEngine:
    """Detects and embeds faces with one pack. After `open()` it is safe to share between threads.

    `detect` and `embed` are the two halves of `faces`: a caller with many large pictures detects picture by picture,
    keeps only the crops, and embeds all faces together. Callers on many threads share model runs.
    """

    def __init__(self, config: FaceConfig) -> None:
        self.config = config
        #: For all threads that decode pictures for this engine.
        self.gate = PictureGate(config.most_picture_bytes)
        self._pack: Pack | None = None

    def open(self) -> None:
        """Load the pack and warm it up; blocks for seconds. Does nothing when it is open already.

        Call it after a fork, never before: sessions do not survive one. Raises PackMissing, PackDamaged, ConfigError.
        """
        if self._pack is not None:
            return
        pack = load_pack(self.config)
        # A model's first run at each batch size allocates buffers or builds an engine: no caller should wait for that.
        pack.detector.warm_up()
        pack.recognizer.warm_up()
        self._pack = pack

    def close(self) -> None:
        """Close the models; waiting callers get NotOpen. Safe to call twice, and before open()."""
        pack, self._pack = self._pack, None
        for model in pack.models if pack else ():
            model.close()

    @property
    def is_open(self) -> bool:
        return self._pack is not None

    @property
    def is_healthy(self) -> bool:
        """Whether it is open and all of its models accept work. Never raises."""
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
        return self.embed([self.detect(image).faces for image in images])

    def detect(self, image: Image, *, reduction: Reduction | None = None) -> DetectedFaces:
        """Return the faces of one picture, aligned, and those that FaceConfig's thresholds reject, with the reason.

        For a reduced picture, boxes and landmarks are in pixels of the whole one, and faces that are too small for a
        good crop are cut from the whole one. Raises NotOpen, Busy, and what `reduction.whole` raises.
        """
        [found] = self.pack.detector.detect([image])
        pairs = [(each, reduction.in_whole(each) if reduction else each) for each in found]
        return self._detected(image, pairs, reduction)

    def align(
        self, image: Image, detections: Sequence[Detection], *, reduction: Reduction | None = None
    ) -> DetectedFaces:
        """Return what `detect` returns when it finds these faces, given in pixels of the whole picture; runs no model.

        Raises NotOpen, and what `reduction.whole` raises.
        """
        pairs = [(reduction.in_reduced(each) if reduction else each, each) for each in detections]
        return self._detected(image, pairs, reduction)

    def embed(self, faces: Sequence[Sequence[AlignedFace]]) -> list[list[Face]]:
        """Return the faces with their embeddings, grouped as given. Raises NotOpen, Busy."""
        flat = [face for group in faces for face in group]
        embeddings = self.pack.recognizer.embed([face.crop for face in flat])
        embedded = (
            Face(
                box=face.detection.box,
                landmarks=face.detection.landmarks,
                score=face.detection.score,
                quality=face.quality,
                embedding=embedding,
            )
            for face, embedding in zip(flat, embeddings, strict=True)
        )
        return [list(islice(embedded, len(group))) for group in faces]

    def _detected(
        self, image: Image, detections: Iterable[tuple[Detection, Detection]], reduction: Reduction | None
    ) -> DetectedFaces:
        """Align or reject faces, each given twice: in pixels of `image` and in pixels of the whole picture."""
        faces: list[AlignedFace] = []
        rejected: list[RejectedFace] = []
        for detection, in_whole in detections:
            judged = self._aligned(image, detection, in_whole, reduction)
            if isinstance(judged, AlignedFace):
                faces.append(judged)
            else:
                rejected.append(RejectedFace(box=in_whole.box, score=in_whole.score, reason=judged))
        return DetectedFaces(faces=tuple(faces), rejected=tuple(rejected))

    def _aligned(
        self, image: Image, detection: Detection, in_whole: Detection, reduction: Reduction | None
    ) -> AlignedFace | RejectCode:
        """Cut the face out; return the reason when it is rejected. Only for a face is the whole picture decoded."""
        config, pack, box = self.config, self.pack, in_whole.box
        if in_whole.score < config.least_face_score(pack.face_score):
            return "no_face"
        if min(box.width, box.height) < config.min_face_pixels:
            return "face_too_small"
        if reduction and min(detection.box.width, detection.box.height) < pack.alignment.side_pixels:
            image, detection = reduction.whole(), in_whole
        crop = aligned_crop(image, detection.landmarks, pack.alignment)
        face_quality = quality(box=box, landmarks=in_whole.landmarks, crop=crop, template=pack.alignment.template)
        if face_quality < config.min_face_quality:
            return "low_quality"
        return AlignedFace(detection=in_whole, crop=crop, quality=face_quality)

"""FaceEngine: pictures in, faces with embeddings out. It owns the loaded pack."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from worker.config import FaceConfig
from worker.errors import NotOpen
from worker.recognition.alignment import aligned_crop
from worker.recognition.interfaces import CROP_SIZE_PIXELS, Face, FoundFace, Image, Pack
from worker.recognition.packs import load_pack
from worker.recognition.quality import quality

#: The picture that warms the detector up: grey, and as large as detectors shrink every picture to.
_WARM_UP_SIDE_PIXELS = 640


class FaceEngine:
    """Finds and describes faces with one pack. After `open()` it is safe to share between threads.

    `find` and `describe` are the two halves of `faces`: a caller with many large pictures finds in one after the
    other, keeps only the crops, and describes all faces in one run of the recognizer.
    """

    def __init__(self, config: FaceConfig) -> None:
        self.config = config
        self._pack: Pack | None = None

    def open(self) -> None:
        """Load the pack and run it once; blocks for seconds. Does nothing when it is open already.

        Raises PackMissing, PackDamaged, ConfigError.
        """
        if self._pack is not None:
            return
        pack = load_pack(self.config)
        # The first run of a model allocates its buffers; no caller should wait for that.
        pack.detector.detect([np.full((_WARM_UP_SIDE_PIXELS, _WARM_UP_SIDE_PIXELS, 3), 128, np.uint8)])
        pack.recognizer.embed([np.full((CROP_SIZE_PIXELS, CROP_SIZE_PIXELS, 3), 128, np.uint8)])
        self._pack = pack

    def close(self) -> None:
        """Let the models go. Safe to call twice, and before open()."""
        self._pack = None

    @property
    def is_open(self) -> bool:
        return self._pack is not None

    @property
    def pack(self) -> Pack:
        """The loaded pack; raises NotOpen before open() and after close()."""
        if self._pack is None:
            raise NotOpen("The face engine is not open: call open() before using it, and not after close().")
        return self._pack

    def faces(self, images: Sequence[Image]) -> list[list[Face]]:
        """Return the faces of each picture, in the order given, best score first.

        Blocks while the models run: the detector for each picture, the recognizer once for all faces.
        Raises NotOpen.
        """
        return self.describe([self.find(image) for image in images])

    def find(self, image: Image) -> list[FoundFace]:
        """Return the faces of one picture that score at least `min_face_score`, aligned, best score first."""
        pack = self.pack
        [detections] = pack.detector.detect([image])
        found = []
        for detection in detections:
            if detection.score >= self.config.min_face_score:
                crop = aligned_crop(image, detection.landmarks, repeat_edges=pack.repeat_edges)
                worth = quality(box=detection.box, landmarks=detection.landmarks, crop=crop)
                found.append(FoundFace(detection=detection, crop=crop, quality=worth))
        return found

    def describe(self, found: Sequence[Sequence[FoundFace]]) -> list[list[Face]]:
        """Return the faces with their embeddings, grouped as given; one run of the recognizer for all of them."""
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

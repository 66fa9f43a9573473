"""The pack that needs no download: a cascade finds the faces, gradient histograms describe them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from skimage.data import lbp_frontal_face_cascade_filename

from worker.config import FaceConfig
from worker.recognition.cascade_detector import CascadeDetector
from worker.recognition.gradient_graph import DIMENSION, INPUT_NAME, OUTPUT_NAME, gradient_histogram_graph
from worker.recognition.interfaces import Crop, Embeddings, Pack
from worker.recognition.pack_files import STARTER, fingerprint
from worker.recognition.providers import open_session

#: Crops in one run: more gain no speed and cost 3 MiB each while the gradients are in memory.
MAX_CROPS_PER_RUN = 64

#: Of 100 LFW faces, each turned by up to 6 degrees, moved by up to 4 pixels, relit by up to 30 % and saved as JPEG of
#: quality 50, 95 % stay at least 0.75 like themselves and no other is (tests/unit/recognition/test_starter_recall.py).
#: Found by the detector, real portraits stay above 0.9. Strangers in real photos are under 0.6, but up to 0.8 when
#: both are blurred beyond recognition (faces of 25 pixels, magnified): so the threshold is at the upper end of the gap.
MATCH_SIMILARITY = 0.75

#: Part of the fingerprint: change it when the detector or the alignment changes, because then crops change.
_DETECTOR_VERSION = b"cascade detector 1"

WARNING = (
    "The starter pack finds the same portrait again; it does not recognise a person across years or photo sessions."
)
LICENCE = (
    "Free to use: the cascade is OpenCV's, shipped by scikit-image (BSD licence); the descriptor is facequeue's own "
    "and holds nothing learned from photos."
)


def load_starter_pack(config: FaceConfig) -> Pack:
    """Return the starter pack; raises ConfigError for an execution provider that is not there."""
    cascade = Path(lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]
    graph = gradient_histogram_graph()
    session = open_session(graph, config.providers)
    return Pack(
        name=STARTER,
        fingerprint=fingerprint(
            {cascade.name: cascade, "gradient_histogram.onnx": graph, "detector": _DETECTOR_VERSION}
        ),
        licence=LICENCE,
        detector=CascadeDetector(str(cascade)),
        recognizer=GradientRecognizer(session),
        match_similarity=MATCH_SIMILARITY,
        providers=tuple(session.get_providers()),
        # A black edge across a tightly cut portrait would be its strongest gradient, and missing in the whole picture.
        repeat_edges=True,
        warning=WARNING,
    )


class GradientRecognizer:
    """Runs the graph of `gradient_graph.py`. Safe to share between threads."""

    dimension = DIMENSION

    def __init__(self, session: Any) -> None:
        self._session = session

    def embed(self, crops: Sequence[Crop]) -> Embeddings:
        runs = [np.empty((0, DIMENSION), np.float32)]
        for start in range(0, len(crops), MAX_CROPS_PER_RUN):
            batch = np.stack(crops[start : start + MAX_CROPS_PER_RUN])
            runs += self._session.run([OUTPUT_NAME], {INPUT_NAME: batch})
        return np.concatenate(runs)

"""The pack that needs no download: a cascade finds the faces, gradient histograms describe them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from skimage.data import lbp_frontal_face_cascade_filename

from worker.config import FaceConfig
from worker.recognition.cascade_detector import CascadeDetector
from worker.recognition.catalog import STARTER_LICENCE
from worker.recognition.gradient_graph import DIMENSION, gradient_histogram_graph
from worker.recognition.interfaces import CROP_SIZE_PIXELS, Crop, Embeddings, Pack
from worker.recognition.model import OnnxModel
from worker.recognition.pack_files import STARTER, fingerprint

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


def load_starter_pack(config: FaceConfig) -> Pack:
    """Return the starter pack; raises ConfigError for an execution provider that is not there."""
    cascade = Path(lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]
    graph = gradient_histogram_graph()
    model = OnnxModel(graph, config, name="gradient_histogram.onnx")
    return Pack(
        name=STARTER,
        fingerprint=fingerprint(
            {cascade.name: cascade, "gradient_histogram.onnx": graph, "detector": _DETECTOR_VERSION}
        ),
        licence=STARTER_LICENCE.sentence,
        detector=CascadeDetector(str(cascade), faintest_score=config.faintest_score),
        recognizer=GradientRecognizer(model),
        match_similarity=MATCH_SIMILARITY,
        providers=model.providers,
        models=(model,),
        # A black edge across a tightly cut portrait would be its strongest gradient, and missing in the whole picture.
        smooth_crops=True,
        warning=WARNING,
    )


class GradientRecognizer:
    """Runs the graph of `gradient_graph.py`. Safe to share between threads."""

    dimension = DIMENSION

    def __init__(self, model: OnnxModel) -> None:
        self._model = model

    def embed(self, crops: Sequence[Crop]) -> Embeddings:
        rows = [row for (row,) in self._model.run(crops)]
        return np.array(rows, np.float32).reshape(-1, DIMENSION)

    def warm_up(self) -> None:
        """Run the graph at every size of a run that it will be given."""
        self._model.warm_up(np.full((CROP_SIZE_PIXELS, CROP_SIZE_PIXELS, 3), 128, np.uint8))

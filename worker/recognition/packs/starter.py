"""The packs that need no download: a cascade finds the faces, gradient histograms describe them.

The compact one is there so that a change of the model can be tried out. Their detector is the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from skimage.data import lbp_frontal_face_cascade_filename

from worker.config import FaceConfig
from worker.recognition.alignment import ARCFACE
from worker.recognition.detectors.cascade import LONGEST_SIDE_PIXELS, CascadeDetector
from worker.recognition.interfaces import Crop, Embeddings, Pack
from worker.recognition.model import OnnxModel
from worker.recognition.packs.catalogue import STARTER, STARTER_COMPACT
from worker.recognition.packs.entries import KnownPack
from worker.recognition.packs.files import detector_fingerprint, fingerprint
from worker.recognition.recognizers.gradient import COMPACT, FULL, gradient_histogram_graph
from worker.recognition.similarity import SimilarityScale

_DESCRIPTORS = {STARTER: FULL, STARTER_COMPACT: COMPACT}
#: Part of the fingerprints: change it when the detector or the alignment changes, because then crops change.
_DETECTOR_VERSION = b"cascade detector 2"
#: A black edge across a tightly cut portrait would be its strongest gradient, and missing in the whole picture.
_ALIGNMENT = replace(ARCFACE, interpolation="halved")


def load_starter_pack(known: KnownPack, config: FaceConfig) -> Pack:
    """Return that starter pack; raises ConfigError for an execution provider that is not there."""
    cascade = Path(lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]
    detector: dict[str, bytes | Path] = {cascade.name: cascade, "detector": _DETECTOR_VERSION}
    descriptor = _DESCRIPTORS[known.name]
    graph = gradient_histogram_graph(descriptor)
    model = OnnxModel(graph, config, name="gradient_histogram.onnx")
    return Pack(
        name=known.name,
        fingerprint=fingerprint({**detector, "gradient_histogram.onnx": graph}),
        detector_fingerprint=detector_fingerprint(detector, config, face_score=known.face_score),
        licence=known.licence.sentence,
        detector=CascadeDetector(str(cascade), faintest_score=config.faintest_score),
        recognizer=GradientRecognizer(model, dimension=descriptor.dimension),
        alignment=_ALIGNMENT,
        face_score=known.face_score,
        enough_pixels=LONGEST_SIDE_PIXELS,
        match_similarity=known.match_similarity,
        similarity=SimilarityScale(known.similarity_spread),
        providers=model.providers,
        models=(model,),
        warning=known.warning,
    )


class GradientRecognizer:
    """Runs a graph of `gradient_graph.py`. Safe to share between threads."""

    def __init__(self, model: OnnxModel, *, dimension: int) -> None:
        self._model = model
        self.dimension = dimension

    def embed(self, crops: Sequence[Crop]) -> Embeddings:
        rows = [row for (row,) in self._model.run(crops)]
        return np.array(rows, np.float32).reshape(-1, self.dimension)

    def warm_up(self) -> None:
        """Run the graph at every size of a run that it will be given."""
        self._model.warm_up(np.full((_ALIGNMENT.side_pixels, _ALIGNMENT.side_pixels, 3), 128, np.uint8))

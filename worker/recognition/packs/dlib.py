"""The `dlib` packs: MTCNN detects faces, dlib's ResNet embeds them, from the graphs that `packs fetch` has converted."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final

import onnx

from worker.config import FaceConfig
from worker.errors import PackDamaged
from worker.recognition.detectors import mtcnn
from worker.recognition.graphs.edits import spread_prelu
from worker.recognition.interfaces import Pack
from worker.recognition.model import OnnxModel
from worker.recognition.packs.catalogue import KnownPack
from worker.recognition.packs.conversion import verified_manifest
from worker.recognition.packs.files import detector_fingerprint, fingerprint
from worker.recognition.providers import CPU, checked_providers
from worker.recognition.recognizers import dlib
from worker.recognition.similarity import SimilarityScale

#: Faces are looked for from this size on, in pictures of at most this size, unless FACE_CONFIG says otherwise: smaller
#: ones are hardly recognised, and looking for them takes several times as long (docs/models.md).
SMALLEST_FACE_PIXELS: Final = 40
LONGEST_SIDE_PIXELS: Final = 1280


def load_dlib_pack(folder: Path, known: KnownPack, config: FaceConfig) -> Pack:
    """Load the folder's four networks; `known` is the pack's entry in the catalogue, or that of its kind.

    Raises PackDamaged when a graph cannot be loaded or is not what the folder's manifest says, ConfigError for an
    execution provider that is not available.
    """
    manifest = verified_manifest(folder, known)
    is_on_cpu = checked_providers(config)[0] == CPU
    smallest_face_pixels = config.smallest_face_pixels or SMALLEST_FACE_PIXELS
    longest_side_pixels = config.longest_side_pixels or LONGEST_SIDE_PIXELS
    with ExitStack() as opened:

        def network(name: str, batch_sizes: tuple[int, ...]) -> OnnxModel:
            file = folder / name
            graph = _without_prelu(file) if is_on_cpu and config.repair_graphs else file
            model = OnnxModel(graph, config, name=name, cpu_batch_sizes=batch_sizes)
            opened.callback(model.close)
            return model

        # Levels differ in size, so on the CPU each runs alone.
        proposal = network("p_net.onnx", (1,))
        refinement = network("r_net.onnx", mtcnn.REFINEMENT_BATCH_SIZES)
        output = network("o_net.onnx", mtcnn.OUTPUT_BATCH_SIZES)
        resnet = network("resnet.onnx", dlib.CPU_BATCH_SIZES)
        recognizer = dlib.DlibRecognizer(resnet, mirrors=known.mirrors)
        opened.pop_all()
    ...

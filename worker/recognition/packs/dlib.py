"""The `dlib` packs: MTCNN detects faces and dlib's ResNet embeds them, as graphs that `packs fetch` has converted."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from worker.config import FaceConfig
from worker.errors import ConfigError, PackDamaged
from worker.recognition.detectors import mtcnn
from worker.recognition.graphs.edits import spread_prelu
from worker.recognition.interfaces import Pack
from worker.recognition.model import OnnxModel
from worker.recognition.packs.converted import ConvertedManifest, verified_manifest
from worker.recognition.packs.entries import KnownPack
from worker.recognition.packs.files import detector_fingerprint, fingerprint, onnx_model
from worker.recognition.providers import CPU, checked_providers
from worker.recognition.recognizers.dlib import ALIGNMENT, CPU_BATCH_SIZES, DlibRecognizer
from worker.recognition.similarity import SimilarityScale

#: Faces are looked for from this size on, in pictures of at most this size, unless FACE_CONFIG says otherwise: smaller
#: ones are hardly recognised, and looking for them takes several times as long (docs/models.md).
SMALLEST_FACE_PIXELS: Final = 40
LONGEST_SIDE_PIXELS: Final = 1280
#: The longer side of the largest level that the first network may have to look at. It takes some 300 bytes a pixel:
#: 1.5 GB for such a level of 2560 x 1920 pixels, and four times that at twice the side.
_LONGEST_LEVEL_PIXELS: Final = 2560
#: The side of what a network of the detector looks at, in pixels, and the shapes of what it says about that.
_DETECTOR_OUTPUTS: Final[Mapping[str, tuple[int, tuple[tuple[int, ...], ...]]]] = {
    "p_net.onnx": (mtcnn.PROPOSAL_SIDE_PIXELS, ((1, 1), (1, 1, 4))),
    "r_net.onnx": (mtcnn.REFINEMENT_SIDE_PIXELS, ((), (4,))),
    "o_net.onnx": (mtcnn.OUTPUT_SIDE_PIXELS, ((), (4,), (10,))),
}


def load_dlib_pack(folder: Path, known: KnownPack, config: FaceConfig) -> Pack:
    """Load the folder's four networks; `known` is the pack's entry in the catalogue, or that of its kind.

    Raises PackDamaged when a graph cannot be loaded or is not what the folder's manifest says, ConfigError for an
    execution provider that is not available, or for sizes that would take too much memory.
    """
    smallest_face_pixels = config.smallest_face_pixels or SMALLEST_FACE_PIXELS
    longest_side_pixels = config.longest_side_pixels or LONGEST_SIDE_PIXELS
    _refuse_large_levels(smallest_face_pixels, longest_side_pixels, config)
    manifest = verified_manifest(folder, known)
    with ExitStack() as opened:
        network = partial(_network, folder, config, opened)
        candidates = mtcnn.CANDIDATES_PER_PICTURE
        detector = mtcnn.MtcnnDetector(
            network("p_net.onnx", (1,), items_per_call=mtcnn.LEVELS_PER_PICTURE),
            network("r_net.onnx", mtcnn.REFINEMENT_BATCH_SIZES, items_per_call=candidates),
            network("o_net.onnx", mtcnn.OUTPUT_BATCH_SIZES, items_per_call=candidates),
            smallest_face_pixels=smallest_face_pixels,
            longest_side_pixels=longest_side_pixels,
            faintest_score=config.faintest_score,
            few_sizes=not _is_on_cpu(config),
        )
        resnet = network("resnet.onnx", CPU_BATCH_SIZES, items_per_call=2 if known.mirrors else 1)
        recognizer = _recognizer(resnet, mirrors=known.mirrors)
        opened.pop_all()
    of_detector = repr((mtcnn.VERSION, smallest_face_pixels, longest_side_pixels)).encode()
    crops = (ALIGNMENT.side_pixels, ALIGNMENT.template.tolist(), ALIGNMENT.interpolation, known.mirrors)
    return Pack(
        name=known.name or folder.name,
        fingerprint=fingerprint(_converted(manifest) | {"crops": repr(crops).encode()}),
        detector_fingerprint=detector_fingerprint(
            _converted(manifest, ".lz4") | {"mtcnn": of_detector}, config, face_score=known.face_score
        ),
        licence=known.licence.sentence,
        detector=detector,
        recognizer=recognizer,
        alignment=ALIGNMENT,
        face_score=known.face_score,
        enough_pixels=longest_side_pixels,
        similarity=SimilarityScale(known.similarity_spread),
        match_similarity=known.match_similarity,
        thresholds=known.thresholds,
        providers=resnet.providers,
        models=(*detector.models, resnet),
        warning=known.warning,
    )


def _refuse_large_levels(smallest_face_pixels: int, longest_side_pixels: int, config: FaceConfig) -> None:
    """Raise ConfigError when the largest level, in which the smallest faces have 12 pixels, would be too large."""
    longest = _LONGEST_LEVEL_PIXELS * smallest_face_pixels // mtcnn.PROPOSAL_SIDE_PIXELS
    if longest_side_pixels > longest:
        raise ConfigError(
            f"{config.dictionary} LONGEST_SIDE_PIXELS is {longest_side_pixels}; when faces are looked for from "
            f"{smallest_face_pixels} pixels on (SMALLEST_FACE_PIXELS), it must be at most {longest}, or one photo "
            "could take all memory."
        )


def _network(
    folder: Path,
    config: FaceConfig,
    opened: ExitStack,
    name: str,
    cpu_batch_sizes: Sequence[int],
    *,
    items_per_call: int,
) -> OnnxModel:
    """Return one of the folder's networks, which `opened` closes."""
    file = folder / name
    graph = _graph_for_cpu(file) if _is_on_cpu(config) and config.repair_graphs else file
    model = OnnxModel(graph, config, name=name, cpu_batch_sizes=cpu_batch_sizes, items_per_call=items_per_call)
    opened.callback(model.close)
    if name in _DETECTOR_OUTPUTS:
        _try(model, name)
    return model


def _is_on_cpu(config: FaceConfig) -> bool:
    return checked_providers(config)[0] == CPU


def _graph_for_cpu(file: Path) -> Path | bytes:
    """Return the graph with its PRelu, if it has any, replaced by operations that are faster on a CPU.

    The result is not compared with the original here, as with graphs of unknown origin: these are our own conversions,
    and a test compares them (tests/unit/worker/recognition/test_dlib_reference.py).
    """
    graph = onnx_model(file)
    try:
        return bytes(graph.SerializeToString()) if spread_prelu(graph) else file
    except Exception as error:  # protobuf's and onnx's errors have no common root
        raise PackDamaged(f"{file} is not a graph that `packs fetch` has made.") from error


def _try(model: OnnxModel, name: str) -> None:
    """Run a network of the detector once. Raises PackDamaged when it is another one, whatever the manifest says."""
    side_pixels, expected = _DETECTOR_OUTPUTS[name]
    try:
        [outputs] = model.run([np.zeros((side_pixels, side_pixels, 3), np.uint8)])
    except Exception as error:  # onnxruntime's exceptions have no public root
        raise PackDamaged(f"{name} cannot be run on {side_pixels} x {side_pixels} pixels.") from error
    if tuple(output.shape for output in outputs) != expected:
        raise PackDamaged(f"{name} is another network than its name says: its outputs have other shapes.")


def _recognizer(model: OnnxModel, *, mirrors: bool) -> DlibRecognizer:
    try:
        return DlibRecognizer(model, mirrors=mirrors)
    except Exception as error:  # onnxruntime's exceptions have no public root
        raise PackDamaged("resnet.onnx cannot be run on an aligned face.") from error


def _converted(manifest: ConvertedManifest, suffix: str = "") -> dict[str, bytes | Path | str]:
    """Return the parts of a fingerprint that say what was converted: the sources with that suffix, and how.

    Not the graphs: another release of onnx may write the same graph in other bytes.
    """
    sources: dict[str, bytes | Path | str] = {
        name: digest for name, digest in manifest.sources.items() if name.endswith(suffix)
    }
    return sources | {"conversion": str(manifest.conversion).encode()}

"""Any InsightFace pack (buffalo_l, buffalo_s, antelopev2, a manifest package): a folder of ONNX files.

Only the detector and the recognizer of the folder are loaded; landmark and attribute models are left alone.
"""

from dataclasses import dataclass
from pathlib import Path

from worker.config import FaceConfig
from worker.errors import PackDamaged, PackMissing
from worker.recognition.alignment import ARCFACE
from worker.recognition.detectors import scrfd
from worker.recognition.graphs.repairs import Graph, repaired_detector, repaired_recognizer
from worker.recognition.interfaces import Pack
from worker.recognition.model import OnnxModel
from worker.recognition.packs.entries import KnownPack
from worker.recognition.packs.files import WANTED_FILES, detector_fingerprint, fingerprint, onnx_model, verified_digests
from worker.recognition.packs.manifest import ManifestModel, manifest_files
from worker.recognition.providers import CPU, checked_providers
from worker.recognition.recognizers.arcface import ArcFaceRecognizer
from worker.recognition.similarity import SimilarityScale

#: Crops per run of the recognizer on the CPU: a few gain 7 % on the large model; more do not fit into the cache.
CPU_BATCH_SIZES = (1, 2, 4)
#: InsightFace assumes that a recognizer whose first nodes have these names normalises its input itself.
_NODES_LOOKED_AT, _SUBTRACTING, _MULTIPLYING = 8, ("Sub", "_minus"), ("Mul", "_mul")


@dataclass(frozen=True, slots=True, kw_only=True)
class _PackFiles:
    detector: ManifestModel
    recognizer: ManifestModel
    #: SHA-256 of both, by file name.
    digests: dict[str, str]
    #: Values of an embedding, where a manifest states it.
    dimension: int | None = None


def load_insightface_pack(folder: Path, known: KnownPack, config: FaceConfig) -> Pack:
    """Load the folder's detector and recognizer; `known` is its entry in the catalogue, or that of its kind.

    Raises PackMissing when one of them is missing, PackDamaged when a file cannot be loaded or is not what its manifest
    or the catalogue says, ConfigError for an execution provider that is not available.
    """
    files = _pack_files(folder)
    detector_model, detector = _detector(files.detector, config)
    try:
        recognizer_model, recognizer = _recognizer(files.recognizer, config)
        _check_dimension(files, recognizer)
    except BaseException:
        detector_model.close()
        raise
    return Pack(
        name=folder.name,
        fingerprint=fingerprint(files.digests),
        detector_fingerprint=detector_fingerprint(_detector_parts(files.detector), config, face_score=known.face_score),
        licence=known.licence.sentence,
        detector=detector,
        recognizer=recognizer,
        alignment=ARCFACE,
        face_score=known.face_score,
        enough_pixels=scrfd.SIDE_PIXELS,
        match_similarity=known.match_similarity,
        thresholds=known.thresholds,
        similarity=SimilarityScale(known.similarity_spread),
        providers=recognizer_model.providers,
        models=(detector_model, recognizer_model),
        warning=known.warning,
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


def _pack_files(folder: Path) -> _PackFiles:
    stated = manifest_files(folder)
    if stated is not None:
        return _PackFiles(
            detector=stated.detector,
            recognizer=stated.recognizer,
            digests=stated.digests,
            dimension=stated.dimension,
        )
    detector, recognizer = choose_files(folder)
    mean, deviation = _arcface_normalisation(recognizer)
    return _PackFiles(
        detector=ManifestModel(file=detector, mean=scrfd.MEAN, deviation=scrfd.DEVIATION),
        recognizer=ManifestModel(file=recognizer, mean=mean, deviation=deviation),
        digests=verified_digests((detector, recognizer)),
    )


def _check_dimension(files: _PackFiles, recognizer: ArcFaceRecognizer) -> None:
    if files.dimension not in (None, recognizer.dimension):
        raise PackDamaged(
            f"{files.recognizer.file} produces {recognizer.dimension} values per face, not the {files.dimension} that "
            "its manifest states."
        )


def _kind(file: Path) -> str:
    """Return the kind of model that InsightFace's `ModelRouter` would see in the file, without starting a session."""
    graph = onnx_model(file).graph
    if not graph.input:
        raise PackDamaged(f"{file} cannot be read: it is not an ONNX file, or it was cut short.")
    shape = [axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim]
    if len(graph.output) >= 5:
        return "detector"
    if len(shape) != 4 or len(graph.output) != 1 or len(graph.input) != 1:
        return "other"
    height, width = shape[2:]
    is_arcface = height == width and height >= ARCFACE.side_pixels and height % 16 == 0 and height != 192
    return "recognizer" if is_arcface else "other"


def _arcface_normalisation(file: Path) -> tuple[float, float]:
    """Return the mean and the deviation that InsightFace's `ArcFaceONNX` would use for the file."""
    names = [node.name for node in onnx_model(file).graph.node[:_NODES_LOOKED_AT]]
    subtracts, multiplies = (any(n.startswith(begins) for n in names) for begins in (_SUBTRACTING, _MULTIPLYING))
    return (0.0, 1.0) if subtracts and multiplies else (127.5, 127.5)


def _detector(stated: ManifestModel, config: FaceConfig) -> tuple[OnnxModel, scrfd.ScrfdDetector]:
    outputs = onnx_model(stated.file).graph.output
    if len(outputs) not in scrfd.LEVELS_BY_OUTPUT_COUNT:
        raise PackDamaged(f"The detector {stated.file} gives no landmarks, which alignment needs.")
    has_batch = len(outputs[0].type.tensor_type.shape.dim) == 3
    graph = Graph(model=stated.file, has_batch=has_batch, takes_pixels=False, repairs=())
    if config.repair_graphs and (stated.mean, stated.deviation) == (scrfd.MEAN, scrfd.DEVIATION):
        graph = repaired_detector(stated.file, side_pixels=scrfd.SIDE_PIXELS)
    model = OnnxModel(graph.model, config, name=stated.file.name, has_batch=graph.has_batch)
    return model, scrfd.ScrfdDetector(
        model,
        levels=scrfd.LEVELS_BY_OUTPUT_COUNT[len(outputs)],
        takes_pixels=graph.takes_pixels,
        mean=stated.mean,
        deviation=stated.deviation,
        faintest_score=config.faintest_score,
    )


def _detector_parts(stated: ManifestModel) -> dict[str, bytes | Path]:
    """Return what `detector_fingerprint` takes. File names are left out: buffalo_l and antelopev2 share a file."""
    return {"scrfd": stated.file, "input": repr((scrfd.SIDE_PIXELS, stated.mean, stated.deviation)).encode()}


def _recognizer(stated: ManifestModel, config: FaceConfig) -> tuple[OnnxModel, ArcFaceRecognizer]:
    graph = Graph(model=stated.file, has_batch=True, takes_pixels=False, repairs=())
    if config.repair_graphs:
        is_on_cpu = checked_providers(config)[0] == CPU
        graph = repaired_recognizer(stated.file, mean=stated.mean, std=stated.deviation, for_cpu=is_on_cpu)
    model = OnnxModel(graph.model, config, name=stated.file.name, cpu_batch_sizes=CPU_BATCH_SIZES)
    try:
        recognizer = ArcFaceRecognizer(
            model, takes_pixels=graph.takes_pixels, mean=stated.mean, deviation=stated.deviation
        )
    except Exception as error:  # onnxruntime's exceptions have no public root
        model.close()
        raise PackDamaged(f"{stated.file} cannot be run on an aligned face.") from error
    return model, recognizer

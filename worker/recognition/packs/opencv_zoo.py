"""OpenCV Zoo's pack, whose licences allow commercial use: YuNet detects faces, SFace embeds them in 128 values.

The arithmetic around the models is that of OpenCV's `FaceDetectorYN` and `FaceRecognizerSF` (Apache-2.0); the
models themselves run on onnxruntime, like those of every other pack.

W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20, 2023.
Y. Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", IEEE TIP 30, 2021.
"""

from pathlib import Path

from worker.config import FaceConfig
from worker.errors import PackDamaged
from worker.recognition.alignment import ARCFACE
from worker.recognition.detectors.yunet import SIDE_PIXELS, YuNetDetector, output_indices
from worker.recognition.interfaces import Pack
from worker.recognition.model import OnnxModel
from worker.recognition.packs.entries import KnownPack
from worker.recognition.packs.files import detector_fingerprint, fingerprint, verified_digests
from worker.recognition.recognizers.arcface import ArcFaceRecognizer
from worker.recognition.similarity import SimilarityScale

_DETECTOR_FILES = "face_detection_yunet*.onnx"
_RECOGNIZER_FILES = "face_recognition_sface*.onnx"


def is_zoo_folder(folder: Path) -> bool:
    """Return whether the folder holds a YuNet and an SFace file under OpenCV Zoo's names."""
    return any(folder.glob(_DETECTOR_FILES)) and any(folder.glob(_RECOGNIZER_FILES))


def load_zoo_pack(folder: Path, known: KnownPack, config: FaceConfig) -> Pack:
    """Load the folder's YuNet and SFace, the first of each by name; `known` is its entry, or that of its kind.

    Raises PackDamaged when a file cannot be loaded, is not what was published under its name, or is another kind of
    model; ConfigError for an execution provider that is not available.
    """
    detector_file, recognizer_file = (min(folder.glob(names)) for names in (_DETECTOR_FILES, _RECOGNIZER_FILES))
    digests = verified_digests((detector_file, recognizer_file))
    indices = output_indices(detector_file)
    detector_model = OnnxModel(detector_file, config, name=detector_file.name)
    try:
        recognizer_model, recognizer = _recognizer(recognizer_file, config)
    except BaseException:
        detector_model.close()
        raise
    detector = YuNetDetector(detector_model, output_indices=indices, faintest_score=config.faintest_score)
    return Pack(
        name=folder.name,
        fingerprint=fingerprint(digests),
        detector_fingerprint=detector_fingerprint(
            {"yunet": detector_file, "input": str(SIDE_PIXELS).encode()}, config, face_score=known.face_score
        ),
        licence=known.licence.sentence,
        detector=detector,
        recognizer=recognizer,
        alignment=ARCFACE,
        face_score=known.face_score,
        enough_pixels=detector.side_pixels,
        match_similarity=known.match_similarity,
        thresholds=known.thresholds,
        similarity=SimilarityScale(known.similarity_spread),
        providers=recognizer_model.providers,
        models=(detector_model, recognizer_model),
        warning=known.warning,
    )


def _recognizer(file: Path, config: FaceConfig) -> tuple[OnnxModel, ArcFaceRecognizer]:
    model = OnnxModel(file, config, name=file.name)
    try:
        # SFace takes raw pixels in the order red, green, blue; everything else is as with ArcFace.
        return model, ArcFaceRecognizer(model, takes_pixels=False, mean=0.0, deviation=1.0)
    except Exception as error:  # onnxruntime's exceptions have no public root
        model.close()
        raise PackDamaged(f"{file} cannot be run on an aligned face.") from error

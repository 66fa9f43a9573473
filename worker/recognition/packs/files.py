"""A pack's files, their digests, and the fingerprint over them."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from worker.config import FaceConfig
from worker.errors import PackDamaged, PackMissing
from worker.recognition.packs.catalogue import known_pack
from worker.recognition.packs.entries import KnownPack

#: The file in which some packs describe themselves.
MANIFEST = "manifest.json"
WANTED_FILES = "two ONNX files: a detector (SCRFD, e.g. det_10g.onnx) and a recognizer (ArcFace, e.g. w600k_r50.onnx)"


def models_in(folder: Path) -> dict[str, Path]:
    """Return the folder's ONNX files by their paths in it, sorted, without derived ones in hidden folders."""
    files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*.onnx")) if file.is_file()}
    return {path: file for path, file in files.items() if not any(part.startswith(".") for part in path.split("/"))}


def file_digests(files: Iterable[Path]) -> dict[str, str]:
    """Return each file's SHA-256 in hexadecimal, by its name.

    Reads every byte: tenths of a second for a large pack. Raises PackMissing for a file that does not exist,
    PackDamaged for one that cannot be read.
    """
    return {file.name: _digest(file) for file in files}


def verified_digests(files: Iterable[Path]) -> dict[str, str]:
    """Return `file_digests` of files in one pack's folder.

    Raises PackDamaged for a file that differs from the one that the catalogue lists under the folder's and its name.
    """
    files = tuple(files)
    digests = file_digests(files)
    for file in files:
        known = known_pack(file.parent.name)
        if known and digests[file.name] != _published_digest(known, file.name, default=digests[file.name]):
            raise PackDamaged(
                f"{file} is not the file that was published under this name: it was changed, or cut short. "
                f"`manage.py packs fetch {known.name} --force` fetches the pack again; a folder with another "
                "name may hold any files."
            )
    return digests


def onnx_model(file: Path) -> Any:
    """Return the ONNX file's model, without what it keeps in other files. Raises PackDamaged."""
    import onnx  # only here: processes that list packs do not need it otherwise

    try:
        return onnx.load_model(str(file), load_external_data=False)
    except Exception as error:  # protobuf's and onnx's errors have no common root
        raise PackDamaged(f"{file} cannot be read: it is not an ONNX file, or it was cut short.") from error


def fingerprint(parts: Mapping[str, bytes | Path | str]) -> str:
    """Return the SHA-256, in hexadecimal, over the names and contents of a pack's parts.

    A part is its content, a file, or the content's SHA-256 in hexadecimal when that is already known. Each part goes in
    as the digests of its name and its content, in order of the names, so the result depends neither on the machine nor
    on the order of files in a folder, and no content can pass for another's name.
    """
    whole = hashlib.sha256()
    for name, content in sorted(parts.items()):
        whole.update(hashlib.sha256(name.encode()).digest())
        if isinstance(content, bytes):
            whole.update(hashlib.sha256(content).digest())
        else:
            whole.update(bytes.fromhex(_digest(content) if isinstance(content, Path) else content))
    return whole.hexdigest()


def detector_fingerprint(parts: Mapping[str, bytes | Path | str], config: FaceConfig, *, face_score: float) -> str:
    """Return the SHA-256, in hexadecimal, over everything that decides which faces are detected, and where.

    That is the detector's parts, as in `fingerprint`, and FaceConfig's thresholds and decoding; settings that only
    affect speed are left out. `face_score` is the pack's own. A detector's own settings are among its parts. Two packs
    with the same fingerprint detect the same faces, whatever embeds them.
    """
    score = config.least_face_score(face_score)
    settings = (score, config.min_face_pixels, config.min_face_quality, config.reduced_decoding)
    return fingerprint({**parts, "settings": repr(settings).encode()})


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise PackMissing(f"There is no file {file}.") from error
    except OSError as error:
        raise PackDamaged(f"{file} cannot be read: {error.strerror}.") from error


def _published_digest(known: KnownPack, name: str, *, default: str) -> str:
    return next((file.sha256 for file in known.files if file.name == name and file.sha256), default)

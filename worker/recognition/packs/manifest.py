"""Manifest packages: a folder whose `manifest.json` says which file does what, as InsightFace 2.1 defines it.

The manifest decides, never a file's name or shape. InsightFace's own parser reads it. As in InsightFace, only
`manifest_version` 2 counts: a folder with another version, or without a manifest, is a plain folder of ONNX files.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.errors import PackDamaged
from worker.recognition.alignment import ARCFACE
from worker.recognition.packs.files import MANIFEST, file_digests


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestModel:
    """One model's file and its input: (pixel - mean) / deviation, in the order red, green, blue.

    Mean 0 and deviation 1 also stand for a graph that normalises its input itself ("embedded").
    """

    file: Path
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFiles:
    """The two models of a manifest package that facequeue uses."""

    name: str
    detector: ManifestModel
    recognizer: ManifestModel
    #: Values of an embedding, as the manifest states.
    dimension: int
    #: SHA-256 of both files, in hexadecimal, by their paths in the folder, for `packs.files.fingerprint`.
    digests: dict[str, str]


def manifest_files(folder: Path) -> ManifestFiles | None:
    """Return what the folder's manifest says; None when it has none of version 2.

    Raises PackDamaged with the reason when the manifest is invalid, names a file that is missing or has another
    SHA-256, or describes a model that facequeue cannot use.
    """
    if not (folder / MANIFEST).is_file():
        return None
    # Imported here: no other kind of pack needs InsightFace's library to read its files.
    from insightface.model_zoo.package_manifest import has_model_package_manifest, load_model_package

    _refuse_broken_json(folder / MANIFEST)
    if not has_model_package_manifest(folder):
        return None
    try:
        package = load_model_package(folder)
    except (OSError, TypeError, ValueError) as error:
        raise PackDamaged(f"{folder / MANIFEST} is not valid: {error}.") from error
    detection, recognition = (_task(package, name, folder) for name in ("detection", "recognition"))
    if tuple(recognition.metadata["input_size"]) != (ARCFACE.side_pixels, ARCFACE.side_pixels):
        raise PackDamaged(
            f"{folder / MANIFEST} asks for aligned faces of another size than {ARCFACE.side_pixels} pixels square."
        )
    return ManifestFiles(
        name=package.name,
        detector=_model(detection),
        recognizer=_model(recognition),
        dimension=recognition.metadata["embedding_dimension"],
        digests={task.file: _verified_digest(task) for task in (detection, recognition)},
    )


def _refuse_broken_json(manifest: Path) -> None:
    """Refuse what InsightFace would treat as no manifest at all, and then guess."""
    try:
        json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackDamaged(f"{manifest} cannot be read as JSON.") from error


def _task(package: Any, name: str, folder: Path) -> Any:
    if name not in package.tasks:
        raise PackDamaged(f"{folder / MANIFEST} names no model for {name}.")
    task = package.task(name)
    if not task.path.is_file():
        raise PackDamaged(f"{folder / MANIFEST} names {task.file}, which is missing.")
    return task


def _model(task: Any) -> ManifestModel:
    preprocessing = task.metadata["preprocessing"]
    stated = preprocessing if isinstance(preprocessing, Mapping) else {"mean": 0.0, "std": 1.0}
    return ManifestModel(file=task.path, mean=stated["mean"], deviation=stated["std"])


def _verified_digest(task: Any) -> str:
    [digest] = file_digests([task.path]).values()
    if task.sha256 not in (None, digest):
        raise PackDamaged(f"{task.path} has another SHA-256 than {MANIFEST} says: it was changed, or cut short.")
    return digest

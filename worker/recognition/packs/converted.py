"""The manifest of a pack that was converted here: which files its graphs were made from, by which conversion.

The catalogue knows the files that a conversion starts from, not the graphs: their bytes depend on the conversion. So
the folder says of itself what it holds, and counts only as long as that is what the catalogue and this release expect.
Light: reading a manifest loads no model library.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from worker.errors import PackDamaged, PackMissing
from worker.recognition.packs.entries import KnownPack
from worker.recognition.packs.files import MANIFEST, file_digests

#: A manifest has one kilobyte. A larger file is none, and is not read: it could take all memory.
_MOST_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedManifest:
    """What the `manifest.json` of a converted pack holds; digests are SHA-256 in hexadecimal, by file name."""

    kind: str
    #: The version of the conversion that made the graphs.
    conversion: int
    sources: dict[str, str]
    graphs: dict[str, str]


def write_manifest(folder: Path, known: KnownPack) -> None:
    """Describe the graphs that have just been made in the folder from the pack's sources."""
    manifest = ConvertedManifest(
        kind=known.kind,
        conversion=conversion_version(),
        sources=_published(known),
        graphs=file_digests(folder / graph for graph in known.graphs),
    )
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def verified_manifest(folder: Path, known: KnownPack) -> ConvertedManifest:
    """Return the folder's manifest; reads every byte of the graphs, which takes hundredths of a second.

    Raises PackMissing when it or a graph is not there; PackDamaged when it cannot be read, when the graphs were made
    from other files than the catalogue's or by another version of the conversion, and for a graph with another SHA-256.
    """
    missing = [name for name in (MANIFEST, *known.graphs) if not (folder / name).is_file()]
    if missing:
        raise PackMissing(f"The folder {folder} has no {' and no '.join(missing)}. {_remedy(known)}")
    manifest = _read(folder / MANIFEST, known)
    for name, expected in _published(known).items():
        if manifest.sources[name] != expected:
            raise PackDamaged(
                f"{folder} was made from another {name}: its SHA-256 is {manifest.sources[name]}, expected is "
                f"{expected}. {_remedy(known)}"
            )
    if manifest.conversion != conversion_version():
        raise PackDamaged(
            f"{folder} was made by version {manifest.conversion} of the conversion; this release has version "
            f"{conversion_version()}. {_remedy(known)}"
        )
    for graph, found in file_digests(folder / graph for graph in known.graphs).items():
        if found != manifest.graphs[graph]:
            raise PackDamaged(
                f"{folder / graph} was changed, or cut short: its SHA-256 is {found}, and {MANIFEST} says "
                f"{manifest.graphs[graph]}. {_remedy(known)}"
            )
    return manifest


def is_converted(folder: Path) -> bool:
    """Return whether the folder has the manifest of a converted pack, sound or not."""
    try:
        stated = _json(folder / MANIFEST)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(stated, dict) and stated.get("kind") == "dlib"


def conversion_version() -> int:
    from worker.recognition.packs.dlib_conversion import CONVERSION_VERSION  # only here: it loads what reads weights

    return CONVERSION_VERSION


def _read(file: Path, known: KnownPack) -> ConvertedManifest:
    try:
        manifest = ConvertedManifest(**_json(file))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise PackDamaged(f"{file} is not the manifest of a converted pack. {_remedy(known)}") from error
    is_sound = (
        manifest.kind == known.kind
        and type(manifest.conversion) is int  # True is an int, too
        and _are_digests(manifest.sources)
        and _are_digests(manifest.graphs)
        # The entry of a kind knows no sources: such a folder may be made from other weights, or be a copy. It must have
        # some, because the fingerprint is theirs.
        and (set(manifest.sources) == set(known.sources) if known.carriers else manifest.sources)
        and set(manifest.graphs) == set(known.graphs)
    )
    if not is_sound:
        raise PackDamaged(f"{file} is not the manifest of a pack of the kind {known.kind}. {_remedy(known)}")
    return manifest


def _json(file: Path) -> Any:
    """Return what the file holds. Raises OSError, ValueError, RecursionError."""
    with file.open("rb") as content:
        text = content.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise ValueError(f"{file.name} is too large")
    return json.loads(text.decode("utf-8"))


def _are_digests(stated: Any) -> bool:
    """Return whether it has a SHA-256 in hexadecimal by each name; a name with half a character cannot be written."""
    return isinstance(stated, dict) and all(
        name.isprintable() and re.fullmatch("[0-9a-f]{64}", str(digest)) for name, digest in stated.items()
    )


def _published(known: KnownPack) -> dict[str, str]:
    return {name: str(file.sha256) for name, file in known.sources.items()}


def _remedy(known: KnownPack) -> str:
    # A folder of another name is a copy of the pack that is called after its kind.
    return f"`manage.py packs fetch {known.folder or known.kind} --force` makes the pack again."

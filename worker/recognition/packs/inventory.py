"""The packs on this machine: the catalogue's, and any other folder in PACKS_DIR. Reads no model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worker.errors import PackError
from worker.recognition.packs.catalogue import KNOWN_PACKS, known_pack
from worker.recognition.packs.converted import verified_manifest
from worker.recognition.packs.entries import KnownPack
from worker.recognition.packs.files import models_in

#: "incomplete": the folder exists, but a file is missing or has another size than the published one; or the pack was
#: converted from other files, or by another version of the conversion, than this release's, or changed afterwards.
State = Literal["installed", "incomplete", "not installed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackEntry:
    """One pack: what the catalogue knows about it, and what is installed."""

    name: str
    state: State
    #: Where it is, or would be.
    folder: Path
    #: The size of its models, installed or not.
    size_bytes: int
    #: Its entry in the catalogue; None for any other folder.
    known: KnownPack | None
    #: Whether FACE_PACK names it.
    is_active: bool

    @property
    def is_here(self) -> bool:
        """Whether its folder exists."""
        return self.state != "not installed"


def pack_entries(packs_dir: Path, active: str) -> list[PackEntry]:
    """Return the catalogue's packs in order, then the other folders by name.

    `active` is FACE_PACK: a name, or the absolute path of a folder, which is then listed too.
    """
    known = [_entry(pack.name, packs_dir / pack.folder, pack, active) for pack in KNOWN_PACKS]
    others = _others(packs_dir, Path(active))
    return known + [_entry(folder.name, folder, known_pack(folder.name), active) for folder in others]


def pack_entry(packs_dir: Path, active: str, name: str) -> PackEntry | None:
    """Return the pack with that name or folder; None when it is neither installed nor in the catalogue."""
    return next((entry for entry in pack_entries(packs_dir, active) if name in (entry.name, str(entry.folder))), None)


def _others(packs_dir: Path, active: Path) -> Iterator[Path]:
    known = {pack.folder for pack in KNOWN_PACKS}
    for folder in sorted(packs_dir.glob("*")):
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in known:
            yield folder
    if active.is_absolute() and active.parent != packs_dir:
        yield active


def _entry(name: str, folder: Path, known: KnownPack | None, active: str) -> PackEntry:
    # A path names the pack whose own folder it is, not the ones that share the folder.
    is_active = active == name or (active == str(folder) and name == folder.name)
    sizes = _model_sizes(folder, known)
    state: State = "not installed"
    if folder.is_dir():
        state = "installed" if _is_complete(folder, known, sizes) else "incomplete"
    size_bytes = known.size_bytes if known and state == "not installed" else sum(sizes.values())
    return PackEntry(name=name, state=state, folder=folder, size_bytes=size_bytes, known=known, is_active=is_active)


def _is_complete(folder: Path, known: KnownPack | None, sizes: dict[str, int]) -> bool:
    if known is None:
        return len(sizes) >= 2
    if not known.carriers:
        return sizes == {file.name: file.size_bytes for file in known.files}
    try:
        verified_manifest(folder, known)
    except PackError:
        return False
    return True


def _model_sizes(folder: Path, known: KnownPack | None) -> dict[str, int]:
    """Return the size in bytes of each model by its path in the folder; for a known pack, of its own models."""
    files = {name: folder / name for name in known.model_names} if known else models_in(folder)
    return {path: file.stat().st_size for path, file in files.items() if file.is_file()}

"""The packs on this machine: the catalogue's, and any other folder in PACKS_DIR. Reads no model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worker.recognition.packs.catalogue import KNOWN_PACKS, KnownPack, known_pack
from worker.recognition.packs.files import models_in

#: "incomplete": the folder exists, but a file is missing or has another size than the published one.
State = Literal["built in", "installed", "incomplete", "not installed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackEntry:
    """One pack: what the catalogue knows about it, and what is installed."""

    name: str
    state: State
    #: Where it is, or would be; None for a built-in pack.
    folder: Path | None
    #: The size of its models, installed or not; 0 for a built-in pack.
    size_bytes: int
    #: Its entry in the catalogue; None for any other folder.
    known: KnownPack | None
    #: Whether FACE_PACK names it.
    is_active: bool

    @property
    def is_here(self) -> bool:
        """Whether its folder exists."""
        return self.state in ("installed", "incomplete")


def pack_entries(packs_dir: Path, active: str) -> list[PackEntry]:
    """Return the catalogue's packs in order, then the other folders by name.

    `active` is FACE_PACK: a name, or the absolute path of a folder, which is then listed too.
    """
    return [
        _entry(folder.name, folder, is_active=active in (folder.name, str(folder)))
        for folder in (*(packs_dir / pack.name for pack in KNOWN_PACKS), *_others(packs_dir, Path(active)))
    ]


def pack_entry(packs_dir: Path, active: str, name: str) -> PackEntry | None:
    """Return the pack with that name or folder; None when it is neither installed nor in the catalogue."""
    return next((entry for entry in pack_entries(packs_dir, active) if name in (entry.name, str(entry.folder))), None)


def _others(packs_dir: Path, active: Path) -> Iterator[Path]:
    for folder in sorted(packs_dir.glob("*")):
        if folder.is_dir() and not folder.name.startswith(".") and not known_pack(folder.name):
            yield folder
    if active.is_absolute() and active.parent != packs_dir:
        yield active


def _entry(name: str, folder: Path, *, is_active: bool) -> PackEntry:
    known = known_pack(name)
    if known and known.is_built_in:
        return PackEntry(name=name, state="built in", folder=None, size_bytes=0, known=known, is_active=is_active)
    sizes = _model_sizes(folder, known)
    state: State = "installed"
    if not folder.is_dir():
        state = "not installed"
    elif sizes != {file.name: file.size_bytes for file in known.files} if known else len(sizes) < 2:
        state = "incomplete"
    size_bytes = known.size_bytes if known and state == "not installed" else sum(sizes.values())
    return PackEntry(name=name, state=state, folder=folder, size_bytes=size_bytes, known=known, is_active=is_active)


def _model_sizes(folder: Path, known: KnownPack | None) -> dict[str, int]:
    """Return the size in bytes of each model by its path in the folder; for a known pack, of its listed files."""
    files = {file.name: folder / file.name for file in known.files} if known else models_in(folder)
    return {path: file.stat().st_size for path, file in files.items() if file.is_file()}

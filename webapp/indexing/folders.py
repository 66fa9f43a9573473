"""Which files of a folder are imported."""

import os
from dataclasses import dataclass, field
from pathlib import Path

#: Files that people call pictures. Whether one really is, and of a kind we take, the worker finds out and says.
PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".png", ".svg"}
    | {".tif", ".tiff", ".webp"}
)


@dataclass(slots=True)
class FolderContent:
    pictures: list[Path] = field(default_factory=list)
    #: Other files, hidden ones apart.
    skipped: list[Path] = field(default_factory=list)


def folder_content(folder: Path) -> FolderContent:
    """List the folder and all below it, in the order of the names. Hidden files and folders are passed over."""
    content = FolderContent()
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            path = Path(parent, name)
            is_picture = path.suffix.lower() in PICTURE_SUFFIXES
            (content.pictures if is_picture else content.skipped).append(path)
    return content

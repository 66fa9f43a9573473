"""Finding the pictures in a folder."""

import os
from dataclasses import dataclass, field
from pathlib import Path

#: File names that suggest a picture. The worker decides whether the file really is one of a supported format.
PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".png", ".svg"}
    | {".tif", ".tiff", ".webp"}
)


@dataclass(slots=True)
class FolderContent:
    pictures: list[Path] = field(default_factory=list)
    #: Other files, except hidden ones.
    skipped: list[Path] = field(default_factory=list)


def folder_content(folder: Path) -> FolderContent:
    """List the folder and its subfolders, sorted by name. Hidden files and folders are ignored."""
    content = FolderContent()
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            path = Path(parent, name)
            is_picture = path.suffix.lower() in PICTURE_SUFFIXES
            (content.pictures if is_picture else content.skipped).append(path)
    return content

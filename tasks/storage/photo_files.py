"""The files of a photo: the file that was uploaded, and the renditions that a worker made of it.

They lie in one folder per photo, so what a late worker writes for a deleted photo is found and deleted by the photo's
id alone. The names of renditions carry a digest of their content, so a file never changes under its name and may be
cached for ever.
"""

import hashlib
from typing import Final, Literal
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

#: Each rendition is JPEG.
RenditionKind = Literal["thumbnail", "preview", "face"]

#: 64 bits: a photo has few renditions, so no two of them have the same digest by chance.
_DIGEST_CHARACTERS: Final = 16


def original_key(photo_id: UUID | str) -> str:
    """Return the storage key of the file as it was uploaded."""
    return f"{_folder(photo_id)}/original"


def rendition_key(photo_id: UUID | str, kind: RenditionKind, digest: str) -> str:
    """Return the storage key of a rendition with this digest."""
    return f"{_folder(photo_id)}/{kind}.{digest}.jpg"


def digest_of(*contents: bytes) -> str:
    """Return what names renditions of this content."""
    return hashlib.sha256(b"".join(contents)).hexdigest()[:_DIGEST_CHARACTERS]


def rendition_save(photo_id: UUID | str, kind: RenditionKind, digest: str, content: bytes) -> None:
    """Write a rendition unless it is there. May run twice, also at the same time. Raises OSError.

    A worker that was killed while it wrote left a part of the file: that is written again.
    """
    key = rendition_key(photo_id, kind, digest)
    if default_storage.exists(key):
        with default_storage.open(key) as file:
            if file.read() == content:
                return
        default_storage.delete(key)
    stored = default_storage.save(key, ContentFile(content))
    if stored != key:  # another worker was quicker
        default_storage.delete(stored)


def photo_files_delete(photo_id: UUID | str) -> None:
    """Delete all files of the photo; none need be there. Raises OSError."""
    folder = _folder(photo_id)
    try:
        _, names = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        default_storage.delete(f"{folder}/{name}")
    default_storage.delete(folder)


def _folder(photo_id: UUID | str) -> str:
    """Return the photo's folder. Two levels, because file systems are slow in folders with a million entries."""
    return f"{str(photo_id)[:2]}/{photo_id}"

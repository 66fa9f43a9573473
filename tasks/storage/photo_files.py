"""The files of a photo: the file that was uploaded, and the renditions that a worker made of it.

They lie in one folder per photo, so what a late worker writes for a deleted photo is found and deleted by the photo's
id alone. The names of renditions carry a digest of their content, so a file never changes under its name and may be
cached for ever. A storage need not know folders: S3, for example, has only keys.
"""

import errno
import hashlib
from typing import Final, Literal
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

#: Each rendition is JPEG.
RenditionKind = Literal["thumbnail", "preview", "face"]

#: 64 bits: a photo has few renditions, so no two of them have the same digest by chance.
_DIGEST_CHARACTERS: Final = 16
_ORIGINAL: Final = "original"
#: How often a folder is emptied that a worker writes to at the same time: it writes a few files at most.
_DELETE_ATTEMPTS: Final = 5


def original_key(photo_id: UUID | str) -> str:
    """Return the storage key of the file as it was uploaded."""
    return f"{_folder(photo_id)}/{_ORIGINAL}"


def rendition_key(photo_id: UUID | str, kind: RenditionKind, digest: str) -> str:
    """Return the storage key of a rendition with this digest."""
    return f"{_folder(photo_id)}/{kind}.{digest}.jpg"


def digest_of(*contents: bytes) -> str:
    """Return what names renditions of these contents together."""
    each = b"".join(hashlib.sha256(content).digest() for content in contents)
    return hashlib.sha256(each).hexdigest()[:_DIGEST_CHARACTERS]


def rendition_save(photo_id: UUID | str, kind: RenditionKind, digest: str, content: bytes) -> None:
    """Write a rendition unless it is there. May run twice, also at the same time. Raises what the storage raises.

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


def renditions_stored(photo_id: UUID | str) -> set[str]:
    """Return the storage keys of the photo's renditions. Raises what the storage raises."""
    return {f"{_folder(photo_id)}/{name}" for name in _names(photo_id) if name != _ORIGINAL}


def photo_files_delete(photo_id: UUID | str) -> None:
    """Delete all files of the photo; none need be there. Raises what the storage raises."""
    folder = _folder(photo_id)
    for attempt in range(_DELETE_ATTEMPTS):
        for name in _names(photo_id):
            default_storage.delete(f"{folder}/{name}")
        try:
            default_storage.delete(folder)
        except OSError as error:
            # A worker has just written another file into it.
            if error.errno != errno.ENOTEMPTY or attempt == _DELETE_ATTEMPTS - 1:
                raise
        else:
            return


def _names(photo_id: UUID | str) -> list[str]:
    try:
        return default_storage.listdir(_folder(photo_id))[1]
    except FileNotFoundError:
        return []


def _folder(photo_id: UUID | str) -> str:
    """Return the photo's folder. Two levels, because file systems are slow in folders with a million entries."""
    return f"{str(photo_id)[:2]}/{photo_id}"

"""Adding photos: stream each file to the storage while hashing it, then write its row. Nothing is decoded here."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from django.core.files import File as DjangoFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction

from tasks.dictionaries import face_config
from tasks.storage.photo_files import original_key, photo_files_delete
from webapp.gallery import quotas
from webapp.gallery.models import Gallery, Photo
from webapp.http.names import MOST_RAW_PER_CHARACTER, cleaned, readable
from webapp.http.problems import is_full_disk, not_found, storage_full
from webapp.indexing.feeding import index_queue_feed
from webapp.indexing.retrying import photos_begin_again
from webapp.jobs.models import Job
from webapp.jobs.services import import_close, import_prepare, photo_count_in

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    File = DjangoFile[bytes]
else:
    File = DjangoFile  # generic in the type stubs only


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingFile:
    """A file to add that was in a folder, which its photo remembers."""

    file: File
    #: As it came, below what was chosen or imported: "2019/Rome", with "/" or "\\" between the names.
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedFile:
    """The result for one file. `photo` is its new row, or the existing one with the same content."""

    filename: str
    result: Literal["added", "already_there", "refused"]
    photo: Photo | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotosAdded:
    """The files of one upload in the given order, and their job, which is not saved if no file was added.

    `warning` is not empty when the queue is down: the photos are saved and will be sent later.
    """

    files: tuple[AddedFile, ...]
    job: Job
    warning: str = ""

    @property
    def added(self) -> list[Photo]:
        return [file.photo for file in self.files if file.result == "added" and file.photo]

    @property
    def already_there(self) -> list[AddedFile]:
        return [file for file in self.files if file.result == "already_there"]

    @property
    def refused(self) -> list[AddedFile]:
        return [file for file in self.files if file.result == "refused"]


class _Refused(Exception):
    """The file cannot be accepted: a code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class _HashedFile(File):
    """Yields a file's chunks while computing their SHA-256 and total size.

    Raises _Refused when it cannot be read, and when it has become too large meanwhile: it may be written to for ever.
    """

    def __init__(self, source: File) -> None:
        super().__init__(None, name=source.name)
        self._source = source
        self._digest = hashlib.sha256()
        self.byte_size = 0

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        try:
            for chunk in self._source.chunks(chunk_size):
                self._digest.update(chunk)
                self.byte_size += len(chunk)
                _size_check(self.byte_size)
                yield chunk
        except OSError as error:
            message = f"The file cannot be read: {error.strerror or type(error).__name__}."
            raise _Refused("file_unreadable", message) from error

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def photos_add(
    *,
    gallery: Gallery,
    files: Iterable[File | IncomingFile],
    job: Job | None = None,
    requested_by_id: int | None = None,
) -> PhotosAdded:
    """Add files to the gallery as `pending` photos, and send as many to the index workers as the queue has room for.

    Identical content is added once per gallery, even by concurrent uploads. A file that cannot be accepted is refused
    without affecting the others. Whether the content is a picture is decided by a worker, even for an empty file. A
    bare file was in no folder. Without a `job` the files become one that `requested_by_id` asked for. Raises Problem
    when the gallery was deleted or the job cancelled meanwhile, and when a full disk takes none of them.
    """
    into = job or import_prepare(gallery=gallery, requested_by_id=requested_by_id)
    try:
        results = tuple(
            _file_add(gallery, file if isinstance(file, IncomingFile) else IncomingFile(file=file), into)
            for file in files
        )
    finally:
        if job is None:
            import_close(job=into)
    has_added = any(result.result == "added" for result in results)
    if results and all(result.code == "storage_full" for result in results):
        raise storage_full()
    return PhotosAdded(files=results, job=into, warning=index_queue_feed() if has_added else "")


def display_name(name: str | None) -> str:
    """Return a file name that is safe to show: no folders, nothing that a terminal or a page would interpret."""
    base = readable(name or "").replace("\\", "/").rsplit("/", 1)[-1]
    longest = Photo._meta.get_field("filename").max_length or 0
    return cleaned(cleaned(base[-MOST_RAW_PER_CHARACTER * longest :])[-longest:]) or "photo"


def display_folder(folder: str) -> str:
    """Return a folder below another one that is safe to show, with "/" between the names; empty: that one itself.

    What is too long loses its end, so that a folder is still found by those above it.
    """
    longest = Photo._meta.get_field("folder").max_length or 0
    names = [
        name.strip() for name in readable(folder)[: MOST_RAW_PER_CHARACTER * longest].replace("\\", "/").split("/")
    ]
    shown = [cleaned(name) or "folder" for name in names if name not in ("", ".", "..")]
    return "/".join(shown)[:longest].rstrip("/ ")


def _file_add(gallery: Gallery, incoming: IncomingFile, job: Job) -> AddedFile:
    filename = display_name(incoming.file.name)
    try:
        return _photo_add(gallery, incoming, filename, job)
    except quotas.QuotaReached as reached:
        message = reached.sentence_for(job.requested_by_id, owner_id=gallery.owner_id)
        return AddedFile(filename=filename, result="refused", code=reached.code, message=message)
    except _Refused as refused:
        return AddedFile(filename=filename, result="refused", code=refused.code, message=refused.message)


def _photo_add(gallery: Gallery, incoming: IncomingFile, filename: str, job: Job) -> AddedFile:
    """Store the file and add its photo. Raises QuotaReached, _Refused; the storage has nothing of it then."""
    file = incoming.file
    _size_check(file.size)
    try:
        quotas.photo_check(owner_id=gallery.owner_id, byte_size=file.size)
    except quotas.QuotaReached:
        if not _is_there(gallery, file):  # that takes no room
            raise
    photo_id = uuid4()
    key = original_key(photo_id)
    try:
        sha256, byte_size = _store(key, file)
    except _Refused:
        photo_files_delete(photo_id)
        raise
    except OSError as error:
        photo_files_delete(photo_id)
        if is_full_disk(error):
            raise _Refused("storage_full", str(storage_full())) from error
        logger.exception("Photo %s could not be stored.", photo_id)
        message = "The file could not be stored; please contact the administrator of this service."
        raise _Refused("storage_failed", message) from error
    photo = Photo(
        id=photo_id,
        gallery=gallery,
        filename=filename,
        folder=display_folder(incoming.folder),
        file=key,
        sha256=sha256,
        byte_size=byte_size,
    )
    try:
        kept, is_added = _row_add(photo, job)
    except Exception:  # such as QuotaReached, when another upload was quicker
        photo_files_delete(photo_id)
        raise
    if kept is not photo:
        photo_files_delete(photo_id)
    return AddedFile(filename=filename, result="added" if is_added else "already_there", photo=kept)


def _size_check(byte_size: int) -> None:
    """Raises _Refused."""
    limit = face_config().max_image_bytes
    if byte_size > limit:
        message = f"The file has {byte_size / 2**20:.1f} MiB; the limit is {limit / 2**20:.0f} MiB."
        raise _Refused("image_too_large", message)


def _is_there(gallery: Gallery, file: File) -> bool:
    """Tell whether the gallery has a photo with the file's content."""
    content = _HashedFile(file)
    for _ in content.chunks():
        pass
    return gallery.photos.filter(sha256=content.sha256).exclude(state=Photo.State.DELETING).exists()


def _store(key: str, file: File) -> tuple[str, int]:
    """Put the file into the storage; return its SHA-256 and its size. Raises OSError."""
    if isinstance(file, TemporaryUploadedFile):  # the storage may take it by renaming it, without reading it
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        byte_size = file.size or 0
        default_storage.save(key, file)
        return sha256, byte_size
    content = _HashedFile(file)
    default_storage.save(key, content)
    return content.sha256, content.byte_size


def _row_add(photo: Photo, job: Job) -> tuple[Photo, bool]:
    """Save the photo as the job's, or find the one with the same content that the gallery already has.

    Return the gallery's photo, and whether it is the job's now: a cancelled one begins again.
    """
    with transaction.atomic(durable=True):
        # Uploads to one gallery take turns here, so two uploads of the same file cannot both find nothing; and no photo
        # is added to a gallery that is being deleted.
        gallery = Gallery.objects.select_for_update().filter(id=photo.gallery_id, deleting=False).first()
        if gallery is None:
            raise not_found("gallery")
        same = Photo.objects.filter(gallery=photo.gallery_id, sha256=photo.sha256)
        existing = same.exclude(state=Photo.State.DELETING).first()
        if existing is not None and existing.state != Photo.State.CANCELLED:
            return existing, False
        photo_count_in(job=job)
        if existing is not None:
            photos_begin_again(same.filter(id=existing.id), job=job)
            existing.refresh_from_db()
            return existing, True
        quotas.photo_take(owner_id=gallery.owner_id, byte_size=photo.byte_size)
        photo.job = job
        photo.save(force_insert=True)
        return photo, True

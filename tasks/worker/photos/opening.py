"""What the tasks that open photos share: which photos are still wanted, who is beside them, reading, and saving."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.core.files.storage import default_storage

from tasks.messages.indexing import KnownFace, PhotoRef
from tasks.storage.photo_files import digest_of, rendition_save
from tasks.web.withdrawn import Withdrawn
from tasks.worker.starts import Verdict
from worker.errors import PhotoWithdrawn
from worker.recognition.interfaces import Box
from worker.renditions import RenditionNames, Renditions

if TYPE_CHECKING:
    from tasks.worker.state import WorkerState


logger = logging.getLogger(__name__)


def wanted(withdrawn: Withdrawn, gallery_id: str, photos: Iterable[PhotoRef]) -> list[PhotoRef]:
    """Return those of the photos that were not withdrawn."""
    by_photo = {photo: _ids(gallery_id, photo) for photo in photos}
    gone = withdrawn.among([each for ids in by_photo.values() for each in ids])
    return [photo for photo, ids in by_photo.items() if gone.isdisjoint(ids)]


@contextmanager
def opened(state: "WorkerState", task_id: str, suspects: Sequence[str]) -> Iterator[Verdict]:
    """Let a task open photos in this process while the block runs; yield, and log, what to do with its message.

    `suspects` are the photos that may kill this worker: with any, no other photo is open in the process.
    """
    # Marked as begun only inside: what waits here is not to blame when the process dies.
    with (
        state.company.take(state.company.places if suspects else 1),
        state.starts.running(task_id, suspects) as verdict,
    ):
        if verdict is Verdict.BEGUN_BEFORE:
            logger.warning("Not run again: started before and never finished. The sweep sends its photos.")
        elif verdict is Verdict.GUILTY:
            logger.error("Photo %s kills workers: it is not opened again.", suspects[0].rpartition(":")[2])
        yield verdict


def read(withdrawn: Withdrawn, gallery_id: str, photo: PhotoRef, pause: Callable[[], None]) -> bytes:
    """Return the photo's file. Raises PhotoWithdrawn, and what the storage raises."""
    pause()
    if withdrawn.among(_ids(gallery_id, photo)):
        raise PhotoWithdrawn
    with default_storage.open(photo.storage_key, "rb") as file:
        data: bytes = file.read()
    return data


def save(photo_id: str, renditions: Renditions) -> RenditionNames:
    """Write the renditions into the storage; return their digests. Raises what the storage raises."""
    pictures = ""
    if renditions.pictures is not None:
        thumbnail, preview = renditions.pictures.thumbnail, renditions.pictures.preview
        pictures = digest_of(thumbnail, preview)
        rendition_save(photo_id, "thumbnail", pictures, thumbnail)
        rendition_save(photo_id, "preview", pictures, preview)
    faces = tuple(map(digest_of, renditions.faces))
    for digest, crop in zip(faces, renditions.faces, strict=True):
        rendition_save(photo_id, "face", digest, crop)
    return RenditionNames(pictures=pictures, faces=faces)


def boxes_of(known_faces: Iterable[KnownFace]) -> dict[str, Box]:
    """Return the boxes of the faces by their ids."""
    return {known.face_id: Box(**known.box.model_dump()) for known in known_faces}


def _ids(gallery_id: str, photo: PhotoRef) -> Collection[str]:
    """Return the ids by which the photo may be withdrawn."""
    return gallery_id, photo.job_id, photo.photo_id

"""Copies faces from one collection to another with their embeddings, without running a model.

A chunk may be copied repeatedly, even by two workers at once, and both collections may be written to meanwhile. The
target ends up with the same faces as the source, provided that everyone who writes to both (to add or to delete) writes
to the source first:

* A face that is deleted from both during the copy may be written after its deletion from the target. By then it is gone
  from the source, and the last step, which lists both after all writes, deletes it.
* A face that is added to both during the copy is in the source before it is in the target. If the listing of the source
  missed it, the last step fetches it from the source and does not treat it as stale.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from worker.prefetch import prefetched
from worker.vector_search.exceptions import StoreUnavailable
from worker.vector_search.interfaces import FaceRecord, PhotoRange, VectorStore

#: Photos in a chunk: with two faces in each it takes one to four seconds.
COPY_CHUNK_PHOTOS: Final = 5000

#: Rows in a write, as many as a page of the source has by default: the next page is read while they are written.
#: Four such batches are in memory at a time: 16 MB at 512 values each.
ROWS_PER_WRITE: Final = 2000

#: Concurrent writes: a server takes two nearly as fast as one.
WRITERS: Final = 2

#: Faces added to the source during the copy may be missing from the target at first.
COPY_TRIES: Final = 3


def copy_faces(source: VectorStore, target: VectorStore, *, gallery_id: str, first: str, last: str) -> int:
    """Copy the faces on the gallery's photos from `first` to `last`, delete others there; return how many were copied.

    Uses bounded memory; rows are read while earlier ones are written. When it returns, searches of the target find the
    faces. Raises what the stores raise; then copy the chunk again.
    """
    photo_ids = (first, last)

    def listed(store: VectorStore) -> set[str]:
        return {face.face_id for face in store.list_faces(gallery_id=gallery_id, photo_ids=photo_ids)}

    for _ in range(COPY_TRIES):
        copied = _copy_once(source, target, gallery_id, photo_ids)
        # Concurrently: a listing mostly waits for the server to catch up.
        in_source, in_target = prefetched(listed, (source, target), threads=2)
        if seems_stale := in_target - in_source:
            stale = seems_stale - source.fetch(seems_stale).keys()
            target.delete_faces(gallery_id=gallery_id, face_ids=stale)
        if in_source <= in_target:
            return copied
    raise StoreUnavailable("Not every face on these photos could be copied; copy them again.")


def _copy_once(source: VectorStore, target: VectorStore, gallery_id: str, photo_ids: PhotoRange) -> int:
    def write(rows: list[FaceRecord]) -> int:
        target.upsert(rows, wait_until_found=False)
        return len(rows)

    return sum(prefetched(write, _batches(source.iterate(gallery_id=gallery_id, photo_ids=photo_ids)), threads=WRITERS))


def _batches(rows: Iterable[FaceRecord]) -> Iterator[list[FaceRecord]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, ROWS_PER_WRITE)):
        yield batch

"""From one collection into another, embeddings as they are: no model runs.

A chunk may be copied again, and by two workers at the same time; the collections may be written meanwhile. The target
ends up with what the source holds, provided that whoever writes to both (adds, or deletes) does so in the source first:

* What is deleted from both while it is being copied may be written after it was deleted from the target. It is then no
  longer in the source, and the last step, which lists both once all is written, deletes it.
* What is added to both while it is being copied stands in the source by the time it stands in the target. The last
  step looks once more for what the source seemed not to have, and does not take it for something stale.
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
#: Four of these are held at a time: 16 MB for 512 values each.
ROWS_PER_WRITE: Final = 2000


#: Writes at a time: a server takes two of them nearly as fast as one.
WRITERS: Final = 2

#: What is added to the source while it is being copied may be missing at first.
COPY_TRIES: Final = 3


def copy_faces(source: VectorStore, target: VectorStore, *, gallery_id: str, first: str, last: str) -> int:
    """Make the target hold what the source holds of the gallery's photos from `first` to `last`; return how many faces.

    In bounded memory; the next rows are read while the last ones are written. When it returns, searches of the target
    find the faces. Raises what the stores raise; copy the chunk again then.
    """
    photo_ids = (first, last)

    def listed(store: VectorStore) -> set[str]:
        return {face.face_id for face in store.list_faces(gallery_id=gallery_id, photo_ids=photo_ids)}

    for _ in range(COPY_TRIES):
        copied = _copy_once(source, target, gallery_id, photo_ids)
        # At the same time: most of a listing is waiting until the server has caught up.
        in_source, in_target = prefetched(listed, (source, target), threads=2)
        if seems_stale := in_target - in_source:
            stale = seems_stale - source.fetch(seems_stale).keys()
            target.delete_faces(gallery_id=gallery_id, face_ids=stale)
        if in_source <= in_target:
            return copied
    raise StoreUnavailable("Not every face of these photos could be copied; copy them again.")


def _copy_once(source: VectorStore, target: VectorStore, gallery_id: str, photo_ids: PhotoRange) -> int:
    def write(rows: list[FaceRecord]) -> int:
        target.upsert(rows, wait_until_found=False)
        return len(rows)

    return sum(prefetched(write, _batches(source.iterate(gallery_id=gallery_id, photo_ids=photo_ids)), threads=WRITERS))


def _batches(rows: Iterable[FaceRecord]) -> Iterator[list[FaceRecord]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, ROWS_PER_WRITE)):
        yield batch

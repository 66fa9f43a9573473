"""What facequeue asks of a vector database. The docstrings are the contract; `tests/contract` holds every
implementation to it.

Similarity is always the cosine, -1..1, larger is closer, whatever the server calls its metric. Ids are made by
facequeue itself: lower-case UUIDs. Anything else is refused with `InvalidId`, because ids become part of filter
expressions. Each call to the server ends within its configured timeout (a long list of rows takes several calls).
Every method raises `worker.errors.NotOpen` before `open()` and after `close()`, and otherwise only what
`exceptions.py` draws.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: float32, shape (dimension,), unit length.
Embedding = NDArray[np.float32]

#: The photos whose ids stand from the first to the last, both included, in the order of the ids' texts.
PhotoRange = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceRecord:
    """One row: a face of a photo of a gallery."""

    face_id: str
    photo_id: str
    gallery_id: str
    embedding: Embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFace:
    """A face that stands in the collection, without its embedding.

    `copies` is how many rows it has: one, unless somebody has written past this contract.
    """

    face_id: str
    photo_id: str
    copies: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceHit:
    """One answer to one embedding."""

    face_id: str
    photo_id: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """Many embeddings (float32, shape (n, dimension), unit length) against one gallery.

    `limit` is the most hits per embedding, 1..1000; hits below `min_similarity` are left out.
    `search_params` are those of the index; None for the collection's own. Exact search takes none.
    """

    gallery_id: str
    embeddings: NDArray[np.float32]
    limit: int = 10
    min_similarity: float = -1.0
    search_params: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionInfo:
    """What stands on the server."""

    name: str
    dimension: int
    fingerprint: str
    index_type: str
    row_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHealth:
    """One look at the store. `detail` is a sentence for a person when something is wrong, else empty."""

    is_healthy: bool
    connection_status: str  # "connected" | "disconnected"
    collection_status: str  # "loaded" | "released" | "missing" | "unknown"
    latency_ms: float | None
    detail: str = ""
    #: "closed" lets calls through, "open" refuses them at once, "half-open" tries one; empty where there is none.
    breaker: str = ""


class VectorStore(Protocol):
    """One collection, filled by one pack. Safe to share between threads after `open()`."""

    def open(self) -> None:
        """Connect; create the collection when it is missing; load it; check its fingerprint.

        Raises StoreUnavailable (retryable), ModelMismatch (the collection was filled by another pack), ConfigError
        (the server has no such index, or the collection has another one), CollectionMissing (it may not be created:
        AUTO_CREATE is off). Calling it again while open does nothing.

        With AUTO_LOAD off it loads nothing, and what reads or writes rows raises CollectionNotLoaded (retryable) until
        somebody has loaded the collection. (Milvus Lite loads a collection by itself when it creates it.)
        """
        ...

    def close(self) -> None:
        """Give everything back. Safe to call twice, and before open()."""
        ...

    def drop(self) -> None:
        """Delete the collection with all that it holds, whichever pack filled it, and close the store.

        Works without `open()`. A collection that is not there is no error. Whoever else has it open gets
        CollectionMissing from then on. Its name is not to be used again: caches still know it. Raises StoreUnavailable
        and StoreTimeout; drop it again then.
        """
        ...

    def upsert(self, records: Sequence[FaceRecord], *, wait_until_found: bool = True) -> None:
        """Write all rows, replacing those with the same face id; when it returns they survive a crash.

        Searches find them then; with `wait_until_found=False` only after the caller's next `list_faces` or `count`,
        which saves a wait for each of many calls.

        Any number of rows, sent in batches of BATCH_SIZE. Of two records with one face id the last one wins. A face
        id is one row of the whole collection: written with another gallery, it moves there. Raises InvalidEmbedding
        for NaN, zero or wrongly sized vectors, and CapacityReached when the rows that are new would make the
        collection larger than MAX_CAPACITY, both before anything is sent. An error after that may leave some batches
        written: write the same rows again.
        """
        ...

    def search(self, query: SearchQuery) -> list[list[FaceHit]]:
        """Return one list per embedding, in the order given: most similar first, ties by face id.

        With an approximate index the best may be missing; what was written in the last moment may be, too. Raises
        InvalidEmbedding, StoreRejected (the limit).
        """
        ...

    def exact_search(self, query: SearchQuery) -> list[list[FaceHit]]:
        """Return what `search` would return if it lost nothing, for measuring what it does lose.

        Looks at every row of the gallery, in bounded memory: as slow as `iterate`, some seconds for 100,000 faces,
        each page within its own timeout. Raises what `search` raises.
        """
        ...

    def delete_faces(self, *, gallery_id: str, face_ids: Collection[str]) -> None:
        """Delete these faces of the gallery and read back that they are gone.

        Unknown faces, and those of another gallery, are no error and stay as they are.
        """
        ...

    def delete_photos(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        """Delete every face of these photos and read back that they are gone. Unknown photos are no error."""
        ...

    def delete_stale_faces(self, *, gallery_id: str, kept: Mapping[str, Collection[str]]) -> None:
        """For each photo id of `kept`, delete its faces that are not in the ids given."""
        ...

    def count(self, *, gallery_id: str | None = None) -> int:
        """Return the number of faces, of one gallery or of all, as a reader that has just written sees it."""
        ...

    def fetch(self, face_ids: Collection[str]) -> dict[str, Embedding]:
        """Return the embeddings (float32, shape (dimension,)) of those ids that exist, in whatever gallery.

        The ids must come from rows that the caller may see: nothing here keeps galleries apart.
        """
        ...

    def iterate(self, *, gallery_id: str | None = None, photo_ids: PhotoRange | None = None) -> Iterator[FaceRecord]:
        """Yield every row once, or those of one gallery, or of a range of photos; in no order and in bounded memory."""
        ...

    def list_faces(self, *, gallery_id: str, photo_ids: PhotoRange) -> list[StoredFace]:
        """Return the faces of a range of the gallery's photos, each once, as a reader that has just written sees them.

        Far cheaper than `iterate`, and it tells of a face that has several rows.
        """
        ...

    def info(self) -> CollectionInfo:
        """Describe the collection as it stands on the server."""
        ...

    def health(self) -> StoreHealth:
        """Look at the server now. Never raises; blocks for at most the health timeout."""
        ...

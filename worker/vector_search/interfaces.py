"""What facequeue requires of a vector database. The docstrings are the contract; `tests/contract` holds every
implementation to it.

Similarity is always the cosine, -1..1, larger is closer, whatever the server calls its metric: a store knows no packs,
and `FaceIndex` maps it to the pack's scale. Ids are lower-case UUIDs that facequeue generates. Anything else raises
`InvalidId`, because ids become part of filter expressions. Each call to the server ends within its configured timeout
(reading many rows takes several calls). Every method raises `worker.errors.NotOpen` before `open()` and after
`close()`, and otherwise only the errors in `exceptions.py`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: float32, shape (dimension,), unit length.
Embedding = NDArray[np.float32]

#: The photos whose ids lie between the first and the last, both included, when ids are compared as text.
PhotoRange = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceRecord:
    """One row: a face on a photo in a gallery."""

    face_id: str
    photo_id: str
    gallery_id: str
    embedding: Embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFace:
    """A face in the collection, without its embedding.

    `copies` is its number of rows: one, unless something other than this contract wrote to the collection.
    """

    face_id: str
    photo_id: str
    copies: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A face that a search found for one embedding.

    A store's `similarity` is the cosine; that of a match which `FaceIndex` returns is on the pack's scale.
    """

    face_id: str
    photo_id: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """Embeddings (float32, shape (n, dimension), unit length) to search for in a set of galleries, at least one.

    The matches are the best of all these galleries together. Order and repeats in `gallery_ids` make no difference.
    `limit` is the most matches per embedding, 1..1000; those below `min_similarity` are left out. `search_params` are
    those of the index; None for the collection's own. Exact search takes none.
    """

    gallery_ids: tuple[str, ...]
    embeddings: NDArray[np.float32]
    limit: int = 10
    min_similarity: float = -1.0
    search_params: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionInfo:
    """The collection as it is on the server."""

    name: str
    dimension: int
    fingerprint: str
    index_type: str
    row_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHealth:
    """The result of one health check. `detail` is a sentence for a person when something is wrong, else empty."""

    is_healthy: bool
    connection_status: str  # "connected" | "disconnected"
    collection_status: str  # "loaded" | "released" | "missing" | "unknown"
    latency_ms: float | None
    detail: str = ""
    #: "closed" lets calls through, "open" refuses them at once, "half-open" tries one; empty without a breaker.
    breaker: str = ""


class VectorStore(Protocol):
    """One collection, filled by one pack. Safe to share between threads after `open()`."""

    def open(self) -> None:
        """Connect; create the collection if it is missing; load it; check its fingerprint.

        Raises StoreUnavailable (retryable), ModelMismatch (another pack filled the collection), ConfigError (the
        server does not offer the index, or the collection has a different one), CollectionMissing (AUTO_CREATE is off
        and there is no collection). Does nothing when already open.

        With AUTO_LOAD off the collection is not loaded, and methods that read or write rows raise CollectionNotLoaded
        (retryable) until someone loads it. (Milvus Lite loads every collection that it creates.)
        """
        ...

    def close(self) -> None:
        """Release everything. Safe to call twice, and before open()."""
        ...

    def drop(self) -> None:
        """Delete the collection with all its rows, whichever pack filled it, and close the store.

        Works without `open()`. A missing collection is not an error. Any other store that has it open raises
        CollectionMissing from then on. Do not use the name again: caches still know it. Raises StoreUnavailable and
        StoreTimeout; call it again in that case.
        """
        ...

    def upsert(self, records: Sequence[FaceRecord], *, wait_until_found: bool = True) -> None:
        """Write all rows, replacing those with the same face id; once it returns they survive a crash.

        Searches then find them. With `wait_until_found=False` that holds only after the caller's next `list_faces` or
        `count`, which saves one wait per call when many calls follow each other.

        Takes any number of rows and sends them in batches of BATCH_SIZE. Of two records with the same face id the
        last one wins. A face id is one row in the whole collection: written with another gallery, it moves there.
        Raises InvalidEmbedding for NaN, zero or wrongly sized vectors, and CapacityReached when the new rows would
        exceed MAX_CAPACITY; in both cases nothing has been sent. After any other error some batches may have been
        written: write the same rows again.
        """
        ...

    def search(self, query: SearchQuery) -> list[list[Match]]:
        """Return one list per embedding, in the order given: most similar first, ties by face id.

        An approximate index may miss some of the best, and any index may miss rows written a moment ago. Raises
        InvalidId, InvalidEmbedding, StoreRejected (the limit is out of range, or there is no gallery).
        """
        ...

    def exact_search(self, query: SearchQuery) -> list[list[Match]]:
        """Return what `search` would return if it missed nothing, to measure what it does miss.

        Compares every row of the galleries, in bounded memory: as slow as `iterate`, some seconds for 100,000 faces,
        each page within its own timeout. Raises the same errors as `search`.
        """
        ...

    def delete_faces(self, *, gallery_id: str, face_ids: Collection[str]) -> None:
        """Delete these faces from the gallery and confirm by reading that they are gone.

        Unknown faces are not an error; faces in other galleries stay as they are.
        """
        ...

    def delete_photos(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        """Delete every face on these photos and confirm by reading that they are gone. Unknown photos are no error."""
        ...

    def delete_stale_faces(self, *, gallery_id: str, kept: Mapping[str, Collection[str]]) -> None:
        """For each photo id in `kept`, delete the photo's faces whose ids are not listed there."""
        ...

    def count(self, *, gallery_id: str | None = None) -> int:
        """Return the number of faces, in one gallery or in all. Includes everything written before the call."""
        ...

    def fetch(self, face_ids: Collection[str]) -> dict[str, Embedding]:
        """Return the embeddings (float32, shape (dimension,)) of the ids that exist, in whichever gallery.

        Pass only ids that the caller may see: this method does not keep galleries apart.
        """
        ...

    def iterate(self, *, gallery_id: str | None = None, photo_ids: PhotoRange | None = None) -> Iterator[FaceRecord]:
        """Yield every row once, optionally of one gallery or a range of photos; unordered and in bounded memory."""
        ...

    def list_faces(self, *, gallery_id: str, photo_ids: PhotoRange) -> list[StoredFace]:
        """Return the faces on a range of the gallery's photos, each once. Includes everything written before the call.

        Far cheaper than `iterate`, and it reports faces that have several rows.
        """
        ...

    def info(self) -> CollectionInfo:
        """Describe the collection as it is on the server."""
        ...

    def health(self) -> StoreHealth:
        """Check the server now. Never raises; blocks for at most the health timeout."""
        ...

"""An exact stand-in for Milvus, in this process: the same errors, order and limits. For tests and small tools."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from worker.errors import ModelMismatch
from worker.vector_search.checks import (
    checked_id,
    checked_ids,
    checked_query,
    checked_records,
    not_open,
    ranked,
    rounded_similarity,
)
from worker.vector_search.interfaces import (
    CollectionInfo,
    Embedding,
    FaceHit,
    FaceRecord,
    SearchQuery,
    StoreHealth,
)


@dataclass(slots=True)
class MemoryCollection:
    """What a server would keep: the rows by face id, and the pack they came from."""

    dimension: int
    fingerprint: str
    rows: dict[str, FaceRecord] = field(default_factory=dict)


class InMemoryVectorStore:
    """A VectorStore whose rows live in a dictionary and outlive close() and open(), as a server's do.

    Stores given the same `server` (collections by name) see the same rows, as clients of one Milvus do;
    without it a store has a server of its own.
    """

    def __init__(
        self,
        *,
        name: str,
        dimension: int,
        fingerprint: str,
        server: dict[str, MemoryCollection] | None = None,
    ) -> None:
        self._name = name
        self._dimension = dimension
        self._fingerprint = fingerprint
        self._server: dict[str, MemoryCollection] = {} if server is None else server
        self._collection: MemoryCollection | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        fresh = MemoryCollection(dimension=self._dimension, fingerprint=self._fingerprint)
        found = self._server.setdefault(self._name, fresh)
        if (found.fingerprint, found.dimension) != (self._fingerprint, self._dimension):
            raise ModelMismatch(
                f"Collection {self._name!r} was filled by the pack {found.fingerprint!r} "
                f"({found.dimension} values), not by {self._fingerprint!r} ({self._dimension} values)."
            )
        self._collection = found

    def close(self) -> None:
        self._collection = None

    def upsert(self, records: Sequence[FaceRecord]) -> None:
        collection = self._opened()
        rows = {row.face_id: row for row in checked_records(records, dimension=self._dimension)}
        with self._lock:
            # A new dictionary each time: readers keep the one they have, whole, and need no lock.
            collection.rows = collection.rows | rows

    def search(self, query: SearchQuery) -> list[list[FaceHit]]:
        collection = self._opened()
        embeddings = checked_query(query, dimension=self._dimension)
        rows = [row for row in collection.rows.values() if row.gallery_id == query.gallery_id]
        if not rows:
            return [[] for _ in embeddings]
        cosines = _unit(embeddings) @ _unit(np.stack([row.embedding for row in rows])).T
        return [self._hits(rows, of_one, query) for of_one in cosines]

    def delete_photos(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        collection = self._opened()
        gallery, photos = checked_id(gallery_id), set(checked_ids(photo_ids))
        self._keep(collection, lambda row: row.gallery_id != gallery or row.photo_id not in photos)

    def delete_stale_faces(self, *, gallery_id: str, kept: Mapping[str, Collection[str]]) -> None:
        collection = self._opened()
        gallery = checked_id(gallery_id)
        faces = {checked_id(photo_id): set(checked_ids(face_ids)) for photo_id, face_ids in kept.items()}
        self._keep(
            collection,
            lambda row: row.gallery_id != gallery or row.photo_id not in faces or row.face_id in faces[row.photo_id],
        )

    def count(self, *, gallery_id: str | None = None) -> int:
        return sum(1 for _ in self.iterate(gallery_id=gallery_id))

    def fetch(self, face_ids: Collection[str]) -> dict[str, Embedding]:
        rows = self._opened().rows
        found = [face_id for face_id in checked_ids(face_ids) if face_id in rows]
        return {face_id: rows[face_id].embedding.copy() for face_id in found}

    def iterate(self, *, gallery_id: str | None = None) -> Iterator[FaceRecord]:
        rows = self._opened().rows.values()
        if gallery_id is None:
            return iter(list(rows))
        gallery = checked_id(gallery_id)
        return iter([row for row in rows if row.gallery_id == gallery])

    def info(self) -> CollectionInfo:
        collection = self._opened()
        return CollectionInfo(
            name=self._name,
            dimension=collection.dimension,
            fingerprint=collection.fingerprint,
            index_type="FLAT",
            row_count=len(collection.rows),
        )

    def health(self) -> StoreHealth:
        is_open = self._collection is not None
        return StoreHealth(
            is_healthy=is_open,
            connection_status="connected" if is_open else "disconnected",
            collection_status="loaded" if is_open else "unknown",
            latency_ms=0.0 if is_open else None,
            detail="" if is_open else str(not_open(self._name)),
        )

    def _opened(self) -> MemoryCollection:
        if self._collection is None:
            raise not_open(self._name)
        return self._collection

    def _keep(self, collection: MemoryCollection, is_kept: Callable[[FaceRecord], bool]) -> None:
        with self._lock:
            collection.rows = {face_id: row for face_id, row in collection.rows.items() if is_kept(row)}

    @staticmethod
    def _hits(rows: list[FaceRecord], cosines: Embedding, query: SearchQuery) -> list[FaceHit]:
        hits = (
            FaceHit(face_id=row.face_id, photo_id=row.photo_id, similarity=rounded_similarity(cosine))
            for row, cosine in zip(rows, cosines, strict=True)
        )
        return ranked(hits, query)


def _unit(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide by the lengths: the contract lets them be 1 within a rounding, and the cosine must be exact."""
    unit: NDArray[np.float32] = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return unit

"""An exact, in-process stand-in for Milvus with the same errors, order and limits. For tests and small tools."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from worker.errors import ModelMismatch
from worker.vector_search.checks import (
    check_capacity,
    checked_galleries,
    checked_id,
    checked_ids,
    checked_query,
    checked_records,
    not_open,
)
from worker.vector_search.exceptions import CollectionMissing, CollectionNotLoaded
from worker.vector_search.interfaces import (
    CollectionInfo,
    Embedding,
    FaceRecord,
    Match,
    PhotoRange,
    SearchQuery,
    StoredFace,
    StoreHealth,
)
from worker.vector_search.recall.exact import exact_matches


@dataclass(slots=True)
class MemoryCollection:
    """What a server would hold: the rows by face id, the pack that filled them, and whether they can be searched."""

    dimension: int
    fingerprint: str
    is_loaded: bool = False
    rows: dict[str, FaceRecord] = field(default_factory=dict)


class InMemoryVectorStore:
    """A VectorStore whose rows live in a dictionary and survive close() and open(), as they do on a server.

    Stores given the same `server` (collections by name) share their rows, like clients of one Milvus server. Without
    it, a store has a server to itself. The other arguments are those of CollectionConfig.
    """

    def __init__(
        self,
        *,
        name: str,
        dimension: int,
        fingerprint: str,
        server: dict[str, MemoryCollection] | None = None,
        auto_create: bool = True,
        auto_load: bool = True,
        max_capacity: int | None = None,
    ) -> None:
        self._name = name
        self._dimension = dimension
        self._fingerprint = fingerprint
        self._server: dict[str, MemoryCollection] = {} if server is None else server
        self._auto_create = auto_create
        self._auto_load = auto_load
        self._max_capacity = max_capacity
        self._collection: MemoryCollection | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        if not self._auto_create and self._name not in self._server:
            raise CollectionMissing(f"Collection {self._name!r} does not exist and AUTO_CREATE is off.")
        fresh = MemoryCollection(dimension=self._dimension, fingerprint=self._fingerprint)
        found = self._server.setdefault(self._name, fresh)
        if (found.fingerprint, found.dimension) != (self._fingerprint, self._dimension):
            raise ModelMismatch(
                f"Collection {self._name!r} was filled by the pack {found.fingerprint!r} "
                f"({found.dimension} values), not by {self._fingerprint!r} ({self._dimension} values)."
            )
        found.is_loaded = found.is_loaded or self._auto_load
        self._collection = found

    def close(self) -> None:
        self._collection = None

    def drop(self) -> None:
        self._server.pop(self._name, None)
        self.close()

    def upsert(self, records: Sequence[FaceRecord], *, wait_until_found: bool = True) -> None:
        collection = self._loaded()
        rows = {row.face_id: row for row in checked_records(records, dimension=self._dimension)}
        with self._lock:
            if self._max_capacity is not None:
                present, added = len(collection.rows), len(rows.keys() - collection.rows.keys())
                check_capacity(present=present, added=added, max_capacity=self._max_capacity, name=self._name)
            # A new dictionary each time: readers keep a consistent one and need no lock.
            collection.rows = collection.rows | rows

    def search(self, query: SearchQuery) -> list[list[Match]]:
        self._loaded()
        embeddings = checked_query(query, dimension=self._dimension)
        rows = (self.iterate(gallery_id=gallery_id) for gallery_id in checked_galleries(query))
        return exact_matches(chain.from_iterable(rows), embeddings, query)

    def exact_search(self, query: SearchQuery) -> list[list[Match]]:
        return self.search(query)

    def delete_faces(self, *, gallery_id: str, face_ids: Collection[str]) -> None:
        collection = self._loaded()
        gallery, faces = checked_id(gallery_id), set(checked_ids(face_ids))
        self._keep(collection, lambda row: row.gallery_id != gallery or row.face_id not in faces)

    def delete_photos(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        collection = self._loaded()
        gallery, photos = checked_id(gallery_id), set(checked_ids(photo_ids))
        self._keep(collection, lambda row: row.gallery_id != gallery or row.photo_id not in photos)

    def delete_stale_faces(self, *, gallery_id: str, kept: Mapping[str, Collection[str]]) -> None:
        collection = self._loaded()
        gallery = checked_id(gallery_id)
        faces = {checked_id(photo_id): set(checked_ids(face_ids)) for photo_id, face_ids in kept.items()}
        self._keep(
            collection,
            lambda row: row.gallery_id != gallery or row.photo_id not in faces or row.face_id in faces[row.photo_id],
        )

    def count(self, *, gallery_id: str | None = None) -> int:
        return sum(1 for _ in self.iterate(gallery_id=gallery_id))

    def fetch(self, face_ids: Collection[str]) -> dict[str, Embedding]:
        rows = self._loaded().rows
        found = [face_id for face_id in checked_ids(face_ids) if face_id in rows]
        return {face_id: rows[face_id].embedding.copy() for face_id in found}

    def iterate(self, *, gallery_id: str | None = None, photo_ids: PhotoRange | None = None) -> Iterator[FaceRecord]:
        rows = list(self._loaded().rows.values())
        if gallery_id is not None:
            gallery = checked_id(gallery_id)
            rows = [row for row in rows if row.gallery_id == gallery]
        if photo_ids is not None:
            first, last = map(checked_id, photo_ids)
            rows = [row for row in rows if first <= row.photo_id <= last]
        return iter(rows)

    def list_faces(self, *, gallery_id: str, photo_ids: PhotoRange) -> list[StoredFace]:
        rows = self.iterate(gallery_id=checked_id(gallery_id), photo_ids=photo_ids)
        return [StoredFace(face_id=row.face_id, photo_id=row.photo_id) for row in rows]

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
        if self._collection is None:
            return StoreHealth(
                is_healthy=False,
                connection_status="disconnected",
                collection_status="unknown",
                latency_ms=None,
                detail=str(not_open(self._name)),
            )
        status = "missing" if self._is_dropped() else "loaded" if self._collection.is_loaded else "released"
        return StoreHealth(
            is_healthy=status == "loaded",
            connection_status="connected",
            collection_status=status,
            latency_ms=0.0,
            detail="" if status == "loaded" else f"Collection {self._name!r} is {status}.",
        )

    def _opened(self) -> MemoryCollection:
        if self._collection is None:
            raise not_open(self._name)
        if self._is_dropped():
            raise CollectionMissing(f"Collection {self._name!r} does not exist.")
        return self._collection

    def _is_dropped(self) -> bool:
        return self._server.get(self._name) is not self._collection

    def _loaded(self) -> MemoryCollection:
        collection = self._opened()
        if not (collection.is_loaded or self._auto_load):
            raise CollectionNotLoaded(f"Collection {self._name!r} is not loaded.")
        return collection

    def _keep(self, collection: MemoryCollection, is_kept: Callable[[FaceRecord], bool]) -> None:
        with self._lock:
            collection.rows = {face_id: row for face_id, row in collection.rows.items() if is_kept(row)}

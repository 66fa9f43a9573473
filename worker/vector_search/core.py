"""VectorSearchService: the VectorStore contract on a Milvus server."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.vector_search.checks import (
    check_capacity,
    checked_id,
    checked_ids,
    checked_query,
    checked_records,
    not_open,
    ranked,
    rounded_similarity,
    unit,
)
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.connection import ConnectionManager
from worker.vector_search.exceptions import CollectionNotLoaded, StoreUnavailable
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
from worker.vector_search.milvus import filters
from worker.vector_search.milvus.collection import MilvusCollection
from worker.vector_search.milvus.indexes import METRICS
from worker.vector_search.milvus.rows import MilvusRows
from worker.vector_search.recall.exact import exact_matches

logger = logging.getLogger(__name__)

#: Embeddings per search call: with 1000 matches each, an answer of some 10 MB.
EMBEDDINGS_PER_SEARCH = 100


class VectorSearchService:
    """A VectorStore on a Milvus server; several processes may share one collection."""

    def __init__(
        self,
        *,
        milvus: MilvusConfig,
        collection: CollectionConfig,
        performance: PerformanceConfig,
        dimension: int,
        fingerprint: str,
    ) -> None:
        """Keep the settings. The pack's `dimension` decides, whatever DIMENSION says."""
        self._config = collection
        self._search_seconds = performance.search_timeout_seconds
        self._dimension = dimension
        self._connection = ConnectionManager(milvus=milvus, performance=performance)
        self._collection = MilvusCollection(
            self._connection,
            config=collection,
            dimension=dimension,
            fingerprint=fingerprint,
            timeout_seconds=milvus.timeout_seconds,
        )
        self._rows = MilvusRows(
            self._connection,
            collection=collection.name,
            auto_load=collection.auto_load,
            milvus=milvus,
            performance=performance,
        )
        self._is_open = False

    def open(self) -> None:
        if self._is_open:
            return
        if warning := self._config.dimension_warning(self._dimension):
            logger.warning("%s", warning)
        self._connection.open()
        try:
            self._collection.prepare()
        except Exception:
            self._connection.close()
            raise
        self._is_open = True

    def close(self) -> None:
        self._is_open = False
        self._connection.close()

    def drop(self) -> None:
        self._connection.open()
        try:
            self._collection.drop()
        finally:
            self.close()

    # -- writing -------------------------------------------------------------------------------------------

    def upsert(self, records: Sequence[FaceRecord], *, wait_until_found: bool = True) -> None:
        self._check_open()
        rows = [
            {
                "face_id": each.face_id,
                "photo_id": each.photo_id,
                "gallery_id": each.gallery_id,
                "embedding": self._measurable(each.embedding[np.newaxis])[0],
            }
            for each in checked_records(records, dimension=self._dimension)
        ]
        self._check_capacity([row["face_id"] for row in rows])
        self._rows.upsert(rows)
        if wait_until_found and rows:
            self._wait_until_found(rows[-1]["face_id"])

    def delete_faces(self, *, gallery_id: str, face_ids: Collection[str]) -> None:
        self._check_open()
        gallery = filters.in_gallery(gallery_id)
        scopes = [filters.all_of(gallery, each) for each in filters.any_of_faces(face_ids)]
        self._rows.delete(self._rows.photos_by_face(scopes))
        if self._rows.photos_by_face(scopes):
            raise StoreUnavailable("Deleted faces are still in the vector store; delete them again.")

    def delete_photos(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        self._check_open()
        scopes = _scopes_of_photos(gallery_id, photo_ids)
        self._rows.delete(self._rows.photos_by_face(scopes))
        if self._rows.photos_by_face(scopes):
            # Another worker has indexed one of these photos meanwhile: deleting again takes care of it.
            raise StoreUnavailable("Faces on deleted photos are still in the vector store; delete them again.")

    def delete_stale_faces(self, *, gallery_id: str, kept: Mapping[str, Collection[str]]) -> None:
        self._check_open()
        wanted = {checked_id(photo_id): set(checked_ids(face_ids)) for photo_id, face_ids in kept.items()}
        found = self._rows.photos_by_face(_scopes_of_photos(gallery_id, wanted))
        stale = [face_id for face_id, photo_id in found.items() if face_id not in wanted[photo_id]]
        self._rows.delete(stale)
        if self._rows.photos_by_face(filters.any_of_faces(stale)):
            raise StoreUnavailable("Stale faces are still in the vector store; delete them again.")

    def _check_open(self) -> None:
        if not self._is_open:
            raise not_open(self._config.name)

    def _check_capacity(self, face_ids: list[str]) -> None:
        """Refuse the write before any batch is sent; rows that replace others take no additional room.

        Writers do not wait for each other: together they may exceed the capacity by what they write at that moment.
        """
        if self._config.max_capacity is None:
            return
        present, added = self.count(), len(face_ids)
        if present + added > self._config.max_capacity:
            added -= len(self._rows.photos_by_face(filters.any_of_faces(face_ids)))
        check_capacity(present=present, added=added, max_capacity=self._config.max_capacity, name=self._config.name)

    def _wait_until_found(self, face_id: str) -> None:
        """Return once searches find the face that was written last, and with it all earlier ones.

        Searches do not wait for writes, which take up to 0.4 s to become visible on a Milvus server. Once this read has
        waited, every process finds the rows, and no cache keeps a search that misses them.
        """
        with suppress(CollectionNotLoaded):  # Then nobody searches it, and loading it will include the rows.
            self._rows.photos_by_face(filters.any_of_faces([face_id]))

    # -- reading -------------------------------------------------------------------------------------------

    def search(self, query: SearchQuery) -> list[list[Match]]:
        self._check_open()
        embeddings = checked_query(query, dimension=self._dimension)
        scopes = list(filters.any_of_galleries(query.gallery_ids))
        found: list[list[Match]] = []
        for start in range(0, len(embeddings), EMBEDDINGS_PER_SEARCH):
            batch = embeddings[start : start + EMBEDDINGS_PER_SEARCH]
            by_scope = [self._search(batch, query, scope) for scope in scopes]
            found += [ranked(chain.from_iterable(matches), query) for matches in zip(*by_scope, strict=True)]
        return found

    def exact_search(self, query: SearchQuery) -> list[list[Match]]:
        self._check_open()
        embeddings = checked_query(query, dimension=self._dimension)
        rows = (self._rows.records(scope) for scope in filters.any_of_galleries(query.gallery_ids))
        return exact_matches(chain.from_iterable(rows), embeddings, query)

    def count(self, *, gallery_id: str | None = None) -> int:
        self._check_open()
        return self._rows.count(_scope(gallery_id))

    def fetch(self, face_ids: Collection[str]) -> dict[str, Embedding]:
        self._check_open()
        return self._rows.embeddings(face_ids)

    def iterate(self, *, gallery_id: str | None = None, photo_ids: PhotoRange | None = None) -> Iterator[FaceRecord]:
        self._check_open()
        return self._rows.records(_scope(gallery_id, photo_ids))

    def list_faces(self, *, gallery_id: str, photo_ids: PhotoRange) -> list[StoredFace]:
        self._check_open()
        return self._rows.faces(filters.all_of(filters.in_gallery(gallery_id), filters.in_photos(photo_ids)))

    def info(self) -> CollectionInfo:
        self._check_open()
        dimension, fingerprint = self._collection.dimension_and_fingerprint()
        return CollectionInfo(
            name=self._config.name,
            dimension=dimension,
            fingerprint=fingerprint,
            index_type=self._collection.index_type(),
            row_count=self.count(),
        )

    def health(self) -> StoreHealth:
        return self._connection.health(self._config.name)

    def _search(self, embeddings: NDArray[np.float32], query: SearchQuery, scope: str) -> list[list[Match]]:
        metric = self._config.metric_type
        params = self._config.search_params_for(query.limit, query.search_params)
        found = self._connection.call(
            lambda client, seconds: client.search(
                self._config.name,
                data=list(self._measurable(embeddings)),
                anns_field="embedding",
                filter=scope,
                limit=query.limit,
                output_fields=["photo_id"],
                search_params={"metric_type": metric, "params": params},
                timeout=seconds,
            ),
            timeout_seconds=self._search_seconds,
            reload=self._config.name if self._config.auto_load else None,
        )
        return [[_match(each, metric) for each in matches] for matches in found]

    def _measurable(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embeddings scaled so that the metric yields the cosine; COSINE divides by the lengths itself."""
        return embeddings if self._config.metric_type == "COSINE" else unit(embeddings)


def _scope(gallery_id: str | None, photo_ids: PhotoRange | None = None) -> str:
    return filters.all_of(
        "" if gallery_id is None else filters.in_gallery(gallery_id),
        "" if photo_ids is None else filters.in_photos(photo_ids),
    )


def _scopes_of_photos(gallery_id: str, photo_ids: Collection[str]) -> list[str]:
    gallery = filters.in_gallery(gallery_id)
    return [filters.all_of(gallery, each) for each in filters.any_of_photos(photo_ids)]


def _match(found: Any, metric: str) -> Match:
    # Milvus Lite returns the primary key under its field's name, a server under "id"; the attribute covers both.
    return Match(
        face_id=found.id,
        photo_id=found["entity"]["photo_id"],
        similarity=rounded_similarity(METRICS[metric](found["distance"])),
    )

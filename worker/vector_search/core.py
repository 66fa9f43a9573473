"""VectorSearchService: the VectorStore contract on a Milvus server."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
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
    FaceHit,
    FaceRecord,
    PhotoRange,
    SearchQuery,
    StoredFace,
    StoreHealth,
)
from worker.vector_search.milvus import filters
from worker.vector_search.milvus.collection import STRONG, MilvusCollection
from worker.vector_search.milvus.indexes import METRICS
from worker.vector_search.recall.exact import exact_hits

logger = logging.getLogger(__name__)

#: Embeddings per search call: with 1000 hits each, an answer of some 10 MB.
EMBEDDINGS_PER_SEARCH = 100

#: The most rows in a page: under Milvus' bound of 16384. Without embeddings that is 2 MB.
MOST_ROWS_PER_PAGE = 16_000

#: When fewer faces are read than were counted just before, some were deleted meanwhile: they are listed again.
LISTING_TRIES = 4

#: A page of whole rows is so many times what is written at once: twice as fast on Milvus Lite, which looks at every
#: row of the collection for each page.
PAGE_BATCHES = 2

#: Milvus' reader for pages: rows in the order of their primary key, the best ones when segments are merged.
_IN_ID_ORDER = {"iterator": "True", "reduce_stop_for_best": "True"}


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
        self._milvus = milvus
        self._config = collection
        self._performance = performance
        self._dimension = dimension
        self._connection = ConnectionManager(milvus=milvus, performance=performance)
        self._collection = MilvusCollection(
            self._connection,
            config=collection,
            dimension=dimension,
            fingerprint=fingerprint,
            timeout_seconds=milvus.timeout_seconds,
        )
        self._reload = collection.name if collection.auto_load else None
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
        for start in range(0, len(rows), self._performance.batch_size):
            self._write("upsert", data=rows[start : start + self._performance.batch_size])
        if wait_until_found:
            self._wait_until_found(row["face_id"] for row in rows[-1:])

    def delete_faces(self, *, gallery_id: str, face_ids: Collection[str]) -> None:
        self._check_open()
        checked_id(gallery_id)
        wanted = [filters.all_of(filters.in_gallery(gallery_id), each) for each in filters.any_of_faces(face_ids)]
        self._delete_faces(self._matching(wanted))
        if self._matching(wanted):
            raise StoreUnavailable("Deleted faces are still in the vector store; delete them again.")

    def delete_photos(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        self._check_open()
        checked_id(gallery_id)
        self._delete_faces(self._faces_of(gallery_id, photo_ids))
        if self._faces_of(gallery_id, photo_ids):
            # Somebody has indexed one of these photos in between: deleting again takes care of it.
            raise StoreUnavailable("Faces of deleted photos are still in the vector store; delete them again.")

    def delete_stale_faces(self, *, gallery_id: str, kept: Mapping[str, Collection[str]]) -> None:
        self._check_open()
        checked_id(gallery_id)
        wanted = {checked_id(photo_id): set(checked_ids(face_ids)) for photo_id, face_ids in kept.items()}
        found = self._faces_of(gallery_id, wanted)
        stale = [face_id for face_id, photo_id in found.items() if face_id not in wanted[photo_id]]
        self._delete_faces(stale)
        if self._matching(filters.any_of_faces(stale)):
            raise StoreUnavailable("Stale faces are still in the vector store; delete them again.")

    # -- reading -------------------------------------------------------------------------------------------

    def search(self, query: SearchQuery) -> list[list[FaceHit]]:
        self._check_open()
        embeddings = checked_query(query, dimension=self._dimension)
        found: list[list[FaceHit]] = []
        for start in range(0, len(embeddings), EMBEDDINGS_PER_SEARCH):
            found += self._search(embeddings[start : start + EMBEDDINGS_PER_SEARCH], query)
        return found

    def exact_search(self, query: SearchQuery) -> list[list[FaceHit]]:
        self._check_open()
        embeddings = checked_query(query, dimension=self._dimension)
        return exact_hits(self._records(_scope(query.gallery_id)), embeddings, query)

    def count(self, *, gallery_id: str | None = None) -> int:
        self._check_open()
        return self._count(_scope(gallery_id))

    def fetch(self, face_ids: Collection[str]) -> dict[str, Embedding]:
        self._check_open()
        return {
            row["face_id"]: _embedding(row)
            for each in filters.any_of_faces(face_ids)
            for row in self._query(each, ["face_id", "embedding"])
        }

    def iterate(self, *, gallery_id: str | None = None, photo_ids: PhotoRange | None = None) -> Iterator[FaceRecord]:
        self._check_open()
        return self._records(_scope(gallery_id, photo_ids))

    def list_faces(self, *, gallery_id: str, photo_ids: PhotoRange) -> list[StoredFace]:
        self._check_open()
        scope = filters.all_of(filters.in_gallery(gallery_id), filters.in_photos(photo_ids))
        for _ in range(LISTING_TRIES):
            # First of all: it waits for what has been written, as pages do not on Milvus 2.3.
            rows = self._count(scope)
            pages = self._pages(scope, ["face_id", "photo_id"], MOST_ROWS_PER_PAGE) if rows else iter(())
            found = {row["face_id"]: row["photo_id"] for row in pages}
            # A page gives each face once, however many rows it has.
            copies = self._copies(list(found)) if rows > len(found) else {}
            if rows <= len(found) + sum(copies.values()) - len(copies):
                return [
                    StoredFace(face_id=face_id, photo_id=photo_id, copies=copies.get(face_id, 1))
                    for face_id, photo_id in found.items()
                ]
        raise StoreUnavailable("The photos' faces are being deleted at this moment; list them again.")

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

    # -- one call each -------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if not self._is_open:
            raise not_open(self._config.name)

    def _search(self, embeddings: NDArray[np.float32], query: SearchQuery) -> list[list[FaceHit]]:
        metric = self._config.metric_type
        params = self._config.search_params_for(query.limit, query.search_params)
        found = self._connection.call(
            lambda client, seconds: client.search(
                self._config.name,
                data=list(self._measurable(embeddings)),
                anns_field="embedding",
                filter=filters.in_gallery(query.gallery_id),
                limit=query.limit,
                output_fields=["photo_id"],
                search_params={"metric_type": metric, "params": params},
                timeout=seconds,
            ),
            timeout_seconds=self._performance.search_timeout_seconds,
            reload=self._reload,
        )
        return [ranked((_hit(each, metric) for each in hits), query) for hits in found]

    def _measurable(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embeddings so that the metric gives the cosine: COSINE itself divides by the lengths."""
        return embeddings if self._config.metric_type == "COSINE" else unit(embeddings)

    def _query(self, filter_: str, fields: list[str], **options: Any) -> list[dict[str, Any]]:
        """Return the rows as a reader that has just written sees them."""
        return self._connection.call(
            lambda client, seconds: list(
                client.query(
                    self._config.name,
                    filter=filter_,
                    output_fields=fields,
                    timeout=seconds,
                    consistency_level=STRONG,
                    strict_float32=True,  # Arrays: a list of Python's floats takes longer to make than to fetch.
                    **options,
                )
            ),
            timeout_seconds=self._milvus.timeout_seconds,
            reload=self._reload,
        )

    def _write(self, method: str, **options: Any) -> None:
        self._connection.call(
            lambda client, seconds: getattr(client, method)(self._config.name, timeout=seconds, **options),
            timeout_seconds=self._performance.insert_timeout_seconds,
            reload=self._reload,
        )

    def _wait_until_found(self, written: Iterable[str]) -> None:
        """Return when searches find the faces that were just written.

        They do not wait for that themselves: it takes up to 0.4 s on a Milvus server. Once this read has waited, every
        search of any process finds the rows, and none that misses them is kept in a cache.
        """
        with suppress(CollectionNotLoaded):  # Then nobody searches it, and loading it will bring the rows.
            self._matching(filters.any_of_faces(written))

    def _faces_of(self, gallery_id: str, photo_ids: Collection[str]) -> dict[str, str]:
        """Return the photo id of each face of these photos, as a reader that has just written sees them."""
        gallery = filters.in_gallery(gallery_id)
        return self._matching(filters.all_of(gallery, each) for each in filters.any_of_photos(photo_ids))

    def _matching(self, wanted: Iterable[str]) -> dict[str, str]:
        """Return the photo id by face id of the rows that one of the filters lets through."""
        return {
            row["face_id"]: row["photo_id"] for each in wanted for row in self._query(each, ["face_id", "photo_id"])
        }

    def _count(self, scope: str) -> int:
        return int(self._query(scope, ["count(*)"])[0]["count(*)"])

    def _copies(self, face_ids: Sequence[str]) -> dict[str, int]:
        """Return the number of rows of each face that has more than one, found by halving."""
        rows = sum(self._count(each) for each in filters.any_of_faces(face_ids))
        if rows <= len(face_ids):
            return {}
        if len(face_ids) == 1:
            return {face_ids[0]: rows}
        middle = len(face_ids) // 2
        return {**self._copies(face_ids[:middle]), **self._copies(face_ids[middle:])}

    def _check_capacity(self, face_ids: list[str]) -> None:
        """Refuse the write before any of its batches is sent; rows that are there already take no new place.

        Writers do not wait for each other: together they may go over by what they were writing at that moment.
        """
        if self._config.max_capacity is None:
            return
        present, added = self.count(), len(face_ids)
        if present + added > self._config.max_capacity:
            added -= len(self._matching(filters.any_of_faces(face_ids)))
        check_capacity(present=present, added=added, max_capacity=self._config.max_capacity, name=self._config.name)

    def _delete_faces(self, face_ids: Iterable[str]) -> None:
        # By primary key: a delete by any other field works on what the server has seen so far, which may be less.
        for each in filters.any_of_faces(face_ids):
            self._write("delete", filter=each)

    def _records(self, scope: str) -> Iterator[FaceRecord]:
        rows_per_page = min(MOST_ROWS_PER_PAGE, PAGE_BATCHES * self._performance.batch_size)
        return map(_record, self._pages(scope, ["face_id", "photo_id", "gallery_id", "embedding"], rows_per_page))

    def _pages(self, scope: str, fields: list[str], rows_per_page: int) -> Iterator[dict[str, Any]]:
        # Not pymilvus' iterator: its first call has no timeout. A page of ours is one query, which can be retried.
        after = ""
        while True:
            rows = self._query(filters.all_of(scope, after), fields, limit=rows_per_page, **_IN_ID_ORDER)
            # Not when a page is short: Milvus ends one as soon as any of its segments has no more rows for it.
            if not rows:
                return
            yield from rows
            after = filters.after_face(rows[-1]["face_id"])


def _scope(gallery_id: str | None, photo_ids: PhotoRange | None = None) -> str:
    return filters.all_of(
        "" if gallery_id is None else filters.in_gallery(gallery_id),
        "" if photo_ids is None else filters.in_photos(photo_ids),
    )


def _hit(found: Any, metric: str) -> FaceHit:
    # Milvus Lite gives the primary key under its field's name, a server under "id"; the attribute knows both.
    return FaceHit(
        face_id=found.id,
        photo_id=found["entity"]["photo_id"],
        similarity=rounded_similarity(METRICS[metric](found["distance"])),
    )


def _record(row: Mapping[str, Any]) -> FaceRecord:
    return FaceRecord(
        face_id=row["face_id"],
        photo_id=row["photo_id"],
        gallery_id=row["gallery_id"],
        embedding=_embedding(row),
    )


def _embedding(row: Mapping[str, Any]) -> Embedding:
    # A copy: the answer's rows share one array, and whoever keeps a row would keep them all.
    return np.array(row["embedding"], dtype=np.float32)

"""VectorSearchService: the VectorStore contract on a Milvus server."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.vector_search import filters
from worker.vector_search.checks import (
    checked_id,
    checked_ids,
    checked_query,
    checked_records,
    not_open,
    ranked,
    rounded_similarity,
)
from worker.vector_search.collection import STRONG, MilvusCollection
from worker.vector_search.config import METRIC, CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.connection import ConnectionManager
from worker.vector_search.exceptions import StoreUnavailable
from worker.vector_search.interfaces import CollectionInfo, Embedding, FaceHit, FaceRecord, SearchQuery, StoreHealth

#: Embeddings per search call: with 1000 hits each, an answer of some 10 MB.
EMBEDDINGS_PER_SEARCH = 100

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
        self._is_open = False

    def open(self) -> None:
        if self._is_open:
            return
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

    # -- writing -------------------------------------------------------------------------------------------

    def upsert(self, records: Sequence[FaceRecord]) -> None:
        self._check_open()
        rows = [
            {
                "face_id": each.face_id,
                "photo_id": each.photo_id,
                "gallery_id": each.gallery_id,
                "embedding": each.embedding,
            }
            for each in checked_records(records, dimension=self._dimension)
        ]
        for start in range(0, len(rows), self._performance.batch_size):
            self._write("upsert", data=rows[start : start + self._performance.batch_size])

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
        self._delete_faces(face_id for face_id, photo_id in found.items() if face_id not in wanted[photo_id])

    # -- reading -------------------------------------------------------------------------------------------

    def search(self, query: SearchQuery) -> list[list[FaceHit]]:
        self._check_open()
        embeddings = checked_query(query, dimension=self._dimension)
        found: list[list[FaceHit]] = []
        for start in range(0, len(embeddings), EMBEDDINGS_PER_SEARCH):
            found += self._search(embeddings[start : start + EMBEDDINGS_PER_SEARCH], query)
        return found

    def count(self, *, gallery_id: str | None = None) -> int:
        self._check_open()
        rows = self._query(_scope(gallery_id), ["count(*)"], consistency_level=STRONG)
        return int(rows[0]["count(*)"])

    def fetch(self, face_ids: Collection[str]) -> dict[str, Embedding]:
        self._check_open()
        return {
            row["face_id"]: np.asarray(row["embedding"], dtype=np.float32)
            for each in filters.any_of_faces(face_ids)
            for row in self._query(each, ["face_id", "embedding"], consistency_level=STRONG)
        }

    def iterate(self, *, gallery_id: str | None = None) -> Iterator[FaceRecord]:
        self._check_open()
        return self._pages(_scope(gallery_id))

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
        params = dict(self._config.search_params)
        if "ef" in params:  # HNSW refuses to look at fewer candidates than it shall return.
            params["ef"] = max(params["ef"], query.limit)
        found = self._connection.call(
            lambda client, seconds: client.search(
                self._config.name,
                data=list(embeddings),
                anns_field="embedding",
                filter=filters.in_gallery(query.gallery_id),
                limit=query.limit,
                output_fields=["photo_id"],
                search_params={"metric_type": METRIC, "params": params},
                timeout=seconds,
            ),
            timeout_seconds=self._performance.search_timeout_seconds,
            reload=self._config.name,
        )
        return [ranked((_hit(each) for each in hits), query) for hits in found]

    def _query(self, filter_: str, fields: list[str], **options: Any) -> list[dict[str, Any]]:
        return self._connection.call(
            lambda client, seconds: list(
                client.query(self._config.name, filter=filter_, output_fields=fields, timeout=seconds, **options)
            ),
            timeout_seconds=self._milvus.timeout_seconds,
            reload=self._config.name,
        )

    def _write(self, method: str, **options: Any) -> None:
        self._connection.call(
            lambda client, seconds: getattr(client, method)(self._config.name, timeout=seconds, **options),
            timeout_seconds=self._performance.insert_timeout_seconds,
            reload=self._config.name,
        )

    def _faces_of(self, gallery_id: str, photo_ids: Collection[str]) -> dict[str, str]:
        """Return the photo id of each face of these photos, as a reader that has just written sees them."""
        return {
            row["face_id"]: row["photo_id"]
            for each in filters.any_of_photos(photo_ids)
            for row in self._query(
                filters.all_of(filters.in_gallery(gallery_id), each),
                ["face_id", "photo_id"],
                consistency_level=STRONG,
            )
        }

    def _delete_faces(self, face_ids: Iterable[str]) -> None:
        # By primary key: a delete by any other field works on what the server has seen so far, which may be less.
        for each in filters.any_of_faces(face_ids):
            self._write("delete", filter=each)

    def _pages(self, scope: str) -> Iterator[FaceRecord]:
        # Not pymilvus' iterator: its first call has no timeout. A page of ours is one query, which can be retried.
        last: FaceRecord | None = None
        while True:
            after = filters.after_face(last.face_id) if last else ""
            rows = self._query(
                filters.all_of(scope, after),
                ["face_id", "photo_id", "gallery_id", "embedding"],
                limit=self._performance.batch_size,
                consistency_level=STRONG,
                **_IN_ID_ORDER,
            )
            for row in rows:
                last = _record(row)
                yield last
            if len(rows) < self._performance.batch_size:
                return


def _scope(gallery_id: str | None) -> str:
    return "" if gallery_id is None else filters.in_gallery(gallery_id)


def _hit(found: Any) -> FaceHit:
    # Milvus Lite gives the primary key under its field's name, a server under "id"; the attribute knows both.
    return FaceHit(
        face_id=found.id,
        photo_id=found["entity"]["photo_id"],
        similarity=rounded_similarity(found["distance"]),
    )


def _record(row: Mapping[str, Any]) -> FaceRecord:
    return FaceRecord(
        face_id=row["face_id"],
        photo_id=row["photo_id"],
        gallery_id=row["gallery_id"],
        embedding=np.asarray(row["embedding"], dtype=np.float32),
    )

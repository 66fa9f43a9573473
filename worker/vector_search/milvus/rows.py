"""The rows of one collection, read and written: each batch or page is one call within its own timeout."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from worker.vector_search.config import MilvusConfig, PerformanceConfig
from worker.vector_search.connection import ConnectionManager
from worker.vector_search.exceptions import StoreUnavailable
from worker.vector_search.interfaces import Embedding, FaceRecord, StoredFace
from worker.vector_search.milvus import filters
from worker.vector_search.milvus.collection import STRONG

#: The most rows per page: under Milvus' limit of 16384. Without embeddings that is 2 MB.
MOST_ROWS_PER_PAGE = 16_000

#: A page of whole rows holds this many write batches: twice as fast on Milvus Lite, which scans the whole collection
#: for each page.
PAGE_BATCHES = 2

#: When fewer faces are read than were just counted, some have been deleted meanwhile: they are listed again.
LISTING_TRIES = 4

#: Makes Milvus return a page of rows in the order of their primary key, even when it merges segments.
_IN_ID_ORDER = {"iterator": "True", "reduce_stop_for_best": "True"}


class MilvusRows:
    """Reads and writes the rows of one collection. Every read includes what was written before it.

    With AUTO_LOAD a collection that the server has released is loaded again. Raises what `ConnectionManager.call`
    raises.
    """

    def __init__(
        self,
        connection: ConnectionManager,
        *,
        collection: str,
        auto_load: bool,
        milvus: MilvusConfig,
        performance: PerformanceConfig,
    ) -> None:
        self._connection = connection
        self._collection = collection
        self._reload = collection if auto_load else None
        self._read_seconds = milvus.timeout_seconds
        self._write_seconds = performance.insert_timeout_seconds
        self._batch_size = performance.batch_size

    def upsert(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(rows), self._batch_size):
            self._write("upsert", data=list(rows[start : start + self._batch_size]))

    def delete(self, face_ids: Iterable[str]) -> None:
        # By primary key: a delete by any other field only affects what the server has seen so far, which may be less.
        for each in filters.any_of_faces(face_ids):
            self._write("delete", filter=each)

    def count(self, scope: str = "") -> int:
        """Return the number of rows that the filter selects."""
        return int(self._query(scope, ["count(*)"])[0]["count(*)"])

    def photos_by_face(self, scopes: Iterable[str]) -> dict[str, str]:
        """Return the photo id by face id for the rows that any of the filters selects."""
        return {
            row["face_id"]: row["photo_id"] for each in scopes for row in self._query(each, ["face_id", "photo_id"])
        }

    def embeddings(self, face_ids: Iterable[str]) -> dict[str, Embedding]:
        """Return the embeddings of the faces that exist."""
        return {
            row["face_id"]: _embedding(row)
            for each in filters.any_of_faces(face_ids)
            for row in self._query(each, ["face_id", "embedding"])
        }

    def records(self, scope: str = "") -> Iterator[FaceRecord]:
        """Yield every row that the filter selects, page by page."""
        rows_per_page = min(MOST_ROWS_PER_PAGE, PAGE_BATCHES * self._batch_size)
        return map(_record, self._pages(scope, ["face_id", "photo_id", "gallery_id", "embedding"], rows_per_page))

    def faces(self, scope: str) -> list[StoredFace]:
        """Return each face that the filter selects once, with its number of rows.

        Raises StoreUnavailable when faces keep being deleted meanwhile.
        """
        for _ in range(LISTING_TRIES):
            # First, because it waits for earlier writes, which pages do not on Milvus 2.3.
            row_count = self.count(scope)
            pages = self._pages(scope, ["face_id", "photo_id"], MOST_ROWS_PER_PAGE) if row_count else iter(())
            found = {row["face_id"]: row["photo_id"] for row in pages}
            # Pages contain each face once, however many rows it has.
            copies = self._copies(list(found)) if row_count > len(found) else {}
            if row_count <= len(found) + sum(copies.values()) - len(copies):
                return [
                    StoredFace(face_id=face_id, photo_id=photo_id, copies=copies.get(face_id, 1))
                    for face_id, photo_id in found.items()
                ]
        raise StoreUnavailable("The faces of these photos are being deleted at this moment; list them again.")

    def _copies(self, face_ids: Sequence[str]) -> dict[str, int]:
        """Return the number of rows of each face that has more than one, found by bisection."""
        row_count = sum(self.count(each) for each in filters.any_of_faces(face_ids))
        if row_count <= len(face_ids):
            return {}
        if len(face_ids) == 1:
            return {face_ids[0]: row_count}
        middle = len(face_ids) // 2
        return {**self._copies(face_ids[:middle]), **self._copies(face_ids[middle:])}

    def _pages(self, scope: str, fields: list[str], rows_per_page: int) -> Iterator[dict[str, Any]]:
        # Not with pymilvus' iterator, whose first call has no timeout. Each of these pages is one query, which can be
        # retried.
        after = ""
        while True:
            rows = self._query(filters.all_of(scope, after), fields, limit=rows_per_page, **_IN_ID_ORDER)
            # A short page is not the last: Milvus ends one as soon as any of its segments has no more rows for it.
            if not rows:
                return
            yield from rows
            after = filters.after_face(rows[-1]["face_id"])

    def _query(self, scope: str, fields: list[str], **options: Any) -> list[dict[str, Any]]:
        return self._connection.call(
            lambda client, seconds: list(
                client.query(
                    self._collection,
                    filter=scope,
                    output_fields=fields,
                    timeout=seconds,
                    consistency_level=STRONG,
                    strict_float32=True,  # Arrays: building a list of Python floats takes longer than fetching them.
                    **options,
                )
            ),
            timeout_seconds=self._read_seconds,
            reload=self._reload,
        )

    def _write(self, method: str, **options: Any) -> None:
        self._connection.call(
            lambda client, seconds: getattr(client, method)(self._collection, timeout=seconds, **options),
            timeout_seconds=self._write_seconds,
            reload=self._reload,
        )


def _record(row: Mapping[str, Any]) -> FaceRecord:
    return FaceRecord(
        face_id=row["face_id"],
        photo_id=row["photo_id"],
        gallery_id=row["gallery_id"],
        embedding=_embedding(row),
    )


def _embedding(row: Mapping[str, Any]) -> Embedding:
    # A copy: all rows of an answer share one array, so keeping one row would keep them all in memory.
    return np.array(row["embedding"], dtype=np.float32)

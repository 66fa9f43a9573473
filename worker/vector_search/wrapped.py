"""A VectorStore that wraps another one: the base class for `cache.py` and `monitoring.py`."""

from collections.abc import Collection, Iterator

from worker.vector_search.interfaces import (
    CollectionInfo,
    Embedding,
    FaceRecord,
    Match,
    PhotoRange,
    SearchQuery,
    StoredFace,
    StoreHealth,
    VectorStore,
)


class WrappedVectorStore:
    """Passes reads other than `search` to `inner`. The subclass implements `search` and every write.

    The writes are left out on purpose: to the type checker, a subclass that lacks one is not a VectorStore, so the
    cache cannot miss a write that the contract gains.
    """

    def __init__(self, inner: VectorStore) -> None:
        self._inner = inner

    def open(self) -> None:
        self._inner.open()

    def close(self) -> None:
        self._inner.close()

    def exact_search(self, query: SearchQuery) -> list[list[Match]]:
        return self._inner.exact_search(query)

    def count(self, *, gallery_id: str | None = None) -> int:
        return self._inner.count(gallery_id=gallery_id)

    def fetch(self, face_ids: Collection[str]) -> dict[str, Embedding]:
        return self._inner.fetch(face_ids)

    def iterate(self, *, gallery_id: str | None = None, photo_ids: PhotoRange | None = None) -> Iterator[FaceRecord]:
        return self._inner.iterate(gallery_id=gallery_id, photo_ids=photo_ids)

    def list_faces(self, *, gallery_id: str, photo_ids: PhotoRange) -> list[StoredFace]:
        return self._inner.list_faces(gallery_id=gallery_id, photo_ids=photo_ids)

    def info(self) -> CollectionInfo:
        return self._inner.info()

    def health(self) -> StoreHealth:
        return self._inner.health()

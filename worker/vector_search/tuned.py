"""TunedVectorStore: one collection, searched with parameters of its own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from worker.vector_search.interfaces import FaceRecord, Match, SearchQuery, VectorStore
from worker.vector_search.wrapped import WrappedVectorStore


class TunedVectorStore(WrappedVectorStore):
    """A VectorStore that searches `inner` with the given search parameters, whatever the collection's own are.

    Any number of these may share an inner store, which its owner opens and closes.
    """

    def __init__(self, inner: VectorStore, search_params: Mapping[str, int]) -> None:
        super().__init__(inner)
        self._search_params = dict(search_params)

    def search(self, query: SearchQuery) -> list[list[Match]]:
        return self._inner.search(replace(query, search_params=self._search_params))

    def drop(self) -> None:
        self._inner.drop()

    def upsert(self, records: Sequence[FaceRecord], *, wait_until_found: bool = True) -> None:
        self._inner.upsert(records, wait_until_found=wait_until_found)

    def delete_faces(self, *, gallery_id: str, face_ids: Collection[str]) -> None:
        self._inner.delete_faces(gallery_id=gallery_id, face_ids=face_ids)

    def delete_photos(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        self._inner.delete_photos(gallery_id=gallery_id, photo_ids=photo_ids)

    def delete_stale_faces(self, *, gallery_id: str, kept: Mapping[str, Collection[str]]) -> None:
        self._inner.delete_stale_faces(gallery_id=gallery_id, kept=kept)

"""What the in-memory store has beyond the contract: a collection that nobody has loaded."""

import uuid
from collections.abc import Callable

import numpy as np
import pytest

from worker.vector_search.exceptions import CollectionNotLoaded
from worker.vector_search.interfaces import FaceRecord, SearchQuery
from worker.vector_search.memory import InMemoryVectorStore, MemoryCollection

GALLERY = str(uuid.uuid4())
ROW = FaceRecord(
    face_id=str(uuid.uuid4()), photo_id=str(uuid.uuid4()), gallery_id=GALLERY, embedding=np.eye(4, dtype=np.float32)[0]
)
QUERY = SearchQuery(gallery_ids=(GALLERY,), embeddings=ROW.embedding[np.newaxis])


def test_a_collection_that_is_not_loaded_says_so_to_every_reader_and_writer_until_somebody_loads_it() -> None:
    server: dict[str, MemoryCollection] = {}

    def opened(*, auto_load: bool) -> InMemoryVectorStore:
        store = InMemoryVectorStore(name="f", dimension=4, fingerprint="f", server=server, auto_load=auto_load)
        store.open()
        return store

    store = opened(auto_load=False)
    uses: list[Callable[[], object]] = [
        lambda: store.upsert([ROW]),
        lambda: store.search(QUERY),
        lambda: store.exact_search(QUERY),
        lambda: store.delete_photos(gallery_id=GALLERY, photo_ids=[]),
        lambda: store.delete_faces(gallery_id=GALLERY, face_ids=[]),
        lambda: store.delete_stale_faces(gallery_id=GALLERY, kept={}),
        lambda: store.fetch([]),
        lambda: store.iterate(),
        lambda: store.count(),
    ]
    for use in uses:
        with pytest.raises(CollectionNotLoaded):
            use()
    assert store.health().collection_status == "released"
    assert store.info().row_count == 0

    opened(auto_load=True)
    for use in uses:
        use()
    assert store.health().is_healthy

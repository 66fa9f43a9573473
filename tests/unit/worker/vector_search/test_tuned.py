"""One store, searched with parameters of the caller's own."""

import uuid
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from worker.vector_search.config import CollectionConfig
from worker.vector_search.interfaces import FaceRecord, Match, SearchQuery
from worker.vector_search.memory import InMemoryVectorStore
from worker.vector_search.tuned import TunedVectorStore

DIMENSION = 4
GALLERY, PHOTO = str(uuid.uuid4()), str(uuid.uuid4())
ROW = FaceRecord(
    face_id=str(uuid.uuid4()), photo_id=PHOTO, gallery_id=GALLERY, embedding=np.eye(DIMENSION, dtype=np.float32)[0]
)
QUERY = SearchQuery(gallery_ids=(GALLERY,), embeddings=ROW.embedding[np.newaxis])


class ListeningStore(InMemoryVectorStore):
    """Notes the search parameters of each search."""

    def __init__(self) -> None:
        super().__init__(name="faces", dimension=DIMENSION, fingerprint="f" * 64)
        self.heard: list[object] = []

    def search(self, query: SearchQuery) -> list[list[Match]]:
        self.heard.append(query.search_params)
        return super().search(query)


@pytest.fixture
def store() -> Iterator[ListeningStore]:
    with closing(ListeningStore()) as store:
        store.open()
        yield store


def test_each_searches_one_store_with_its_own_parameters(store: ListeningStore) -> None:
    few, many = TunedVectorStore(store, {"nprobe": 1}), TunedVectorStore(store, {"nprobe": 64})
    few.upsert([ROW])
    assert few.search(QUERY) == many.search(QUERY) == store.search(QUERY)
    assert store.heard == [{"nprobe": 1}, {"nprobe": 64}, None]


def test_what_is_deleted_through_it_is_deleted(store: ListeningStore) -> None:
    tuned = TunedVectorStore(store, {})
    tuned.upsert([ROW])
    tuned.delete_photos(gallery_id=GALLERY, photo_ids=[PHOTO])
    assert store.count() == 0


def test_a_searchs_own_parameters_replace_the_collections() -> None:
    config = CollectionConfig(name="faces", index_type="HNSW", search_params={"ef": 100})
    assert config.search_params_for(10) == {"ef": 100}
    assert config.search_params_for(10, {"ef": 50}) == {"ef": 50}
    assert config.search_params_for(80, {"ef": 50}) == {"ef": 80}, "Milvus refuses fewer candidates than hits"

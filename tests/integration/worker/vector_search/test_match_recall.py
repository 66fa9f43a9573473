"""At the default settings searches find what exact search would show, on a real server and on the embedded one."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from pymilvus import MilvusClient

from benchmarks.recall_gate import measure
from benchmarks.vector_search import wait_for_index
from benchmarks.vectors import DIMENSION, MATCH_SIMILARITY, Faces, clustered_faces, exact_answers, share_found
from tests.servers import embedded_milvus, milvus_server
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.interfaces import FaceRecord, SearchQuery, VectorStore
from worker.vector_search.recall.measured import MATCH_LIMIT, gate_match_recall
from worker.vector_search.tuned import TunedVectorStore

pytestmark = pytest.mark.services

GALLERY = str(uuid.uuid4())
SERVERS = {"embedded": embedded_milvus, "milvus": milvus_server}


@pytest.fixture(params=SERVERS)
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with SERVERS[request.param](tmp_path) as (uri, _process):
        yield uri


def opened_store(uri: str, **collection: str) -> VectorSearchService:
    store = VectorSearchService(
        milvus=MilvusConfig(uri=uri),
        collection=CollectionConfig(name="faces", **collection),
        performance=PerformanceConfig(),
        dimension=DIMENSION,
        fingerprint="f" * 64,
    )
    store.open()
    return store


def fill(store: VectorSearchService, faces: Faces) -> None:
    """Write the faces under their row numbers as ids, a few thousand in each call, as an import does."""
    for start in range(0, len(faces.embeddings), 5000):
        store.upsert(
            [
                FaceRecord(
                    face_id=str(uuid.UUID(int=row)),
                    photo_id=str(uuid.UUID(int=row)),
                    gallery_id=GALLERY,
                    embedding=embedding,
                )
                for row, embedding in enumerate(faces.embeddings[start : start + 5000], start=start)
            ]
        )


def match_recall(store: VectorStore, faces: Faces) -> float:
    """Search for all queries, ten in each call."""
    found = [
        [uuid.UUID(hit.face_id).int for hit in hits]
        for queries in np.split(faces.queries, 10)
        for hits in store.search(SearchQuery(gallery_ids=(GALLERY,), embeddings=queries, limit=MATCH_LIMIT))
    ]
    return share_found(found, exact_answers(faces).matches())


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_searches_lose_almost_no_match_right_after_the_last_upsert_and_once_the_index_stands(uri: str, count: int):
    faces = clustered_faces(count, queries=100)
    with closing(opened_store(uri)) as store, closing(MilvusClient(uri)) as client:
        fill(store, faces)
        assert match_recall(store, faces) >= settings.RECALL_MIN

        wait_for_index(client, "faces")
        assert match_recall(store, faces) >= settings.RECALL_MIN
        assert gate_match_recall(store, min_similarity=MATCH_SIMILARITY) == pytest.approx(
            match_recall(store, faces), abs=0.01
        )


def test_a_server_that_answers_from_an_interim_index_is_told_by_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As a stock Milvus does; exact search, the default, loses nothing even there."""
    monkeypatch.setenv("QUERYNODE_SEGCORE_INTERIMINDEX_ENABLEINDEX", "true")
    faces = clustered_faces(20_000, queries=100)
    with milvus_server(tmp_path) as (uri, _process):
        with closing(opened_store(uri, index_type="HNSW")) as store:
            fill(store, faces)
            measured = gate_match_recall(store, min_similarity=MATCH_SIMILARITY)
            assert measured is not None
            assert measured < settings.RECALL_MIN
            assert match_recall(store, faces) < settings.RECALL_MIN
        with closing(MilvusClient(uri)) as client:
            client.drop_collection("faces")
        with closing(opened_store(uri, index_type="FLAT")) as store:
            fill(store, faces)
            assert gate_match_recall(store, min_similarity=MATCH_SIMILARITY) == 1.0
            assert match_recall(store, faces) == 1.0


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_the_gate_stops_a_deliberately_bad_index_and_lets_the_default_pass(tmp_path: Path, count: int):
    """IVF_FLAT searched with nprobe 1, then the default, with the same faces."""
    with milvus_server(tmp_path) as (uri, _process):
        bad, default = measure(uri, count)
    assert bad["match_recall"] < settings.RECALL_MIN <= default["match_recall"]
    assert (bad["gate"], default["gate"]) == ("fails", "passes")


def test_one_collection_is_searched_with_whatever_parameters_a_search_brings(tmp_path: Path):
    faces = clustered_faces(10_000, queries=100)
    with (
        milvus_server(tmp_path) as (uri, _process),
        closing(opened_store(uri, index_type="IVF_FLAT")) as store,
        closing(MilvusClient(uri)) as client,
    ):
        fill(store, faces)
        wait_for_index(client, "faces")
        assert match_recall(TunedVectorStore(store, {"nprobe": 1024}), faces) == 1.0
        assert match_recall(TunedVectorStore(store, {"nprobe": 1}), faces) < settings.RECALL_MIN
        assert match_recall(store, faces) >= settings.RECALL_MIN

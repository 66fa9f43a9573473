"""Stores for the contract: the in-memory one, and VectorSearchService on a guarded Milvus Lite and on a whole Milvus.

One server of each kind per session, and a collection per test. `MILVUS_TEST_URI` names any other Milvus to use instead
of the one that the `milvus` wheel brings; its collections are dropped at the end of each test.
"""

import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymilvus import MilvusClient

from tests.servers import embedded_milvus, milvus_server, require_milvus
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.interfaces import VectorStore
from worker.vector_search.memory import InMemoryVectorStore, MemoryCollection

DIMENSION = 8
FINGERPRINT = "a" * 64

#: Makes an unopened store of this test's collection; another dimension or fingerprint may be asked for, and what
#: CollectionConfig and InMemoryVectorStore call by the same name.
MakeStore = Callable[..., VectorStore]


@pytest.fixture(scope="session")
def embedded_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_milvus(tmp_path_factory.mktemp("embedded")) as (uri, _process):
        yield uri


@pytest.fixture(scope="session")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if uri := os.environ.get("MILVUS_TEST_URI"):
        yield uri
        return
    require_milvus()
    with milvus_server(tmp_path_factory.mktemp("milvus")) as (uri, _process):
        yield uri


@pytest.fixture(
    params=[
        "memory",
        pytest.param("embedded", marks=pytest.mark.services),
        pytest.param("milvus", marks=pytest.mark.services),
    ]
)
def server(request: pytest.FixtureRequest) -> str:
    """The URI of a server, empty for a store in memory."""
    return "" if request.param == "memory" else request.getfixturevalue(f"{request.param}_uri")


@pytest.fixture
def make_store(server: str) -> Iterator[MakeStore]:
    with a_collection(server) as make:
        yield make


@pytest.fixture
def make_other(server: str) -> Iterator[MakeStore]:
    """Makes stores of a second collection on the same server."""
    with a_collection(server) as make:
        yield make


@contextmanager
def a_collection(uri: str) -> Iterator[MakeStore]:
    name = f"faces_{uuid.uuid4().hex}"
    made: list[VectorStore] = []
    in_memory: dict[str, MemoryCollection] = {}

    def make(*, dimension: int = DIMENSION, fingerprint: str = FINGERPRINT, **collection: Any) -> VectorStore:
        if not uri:
            store: VectorStore = InMemoryVectorStore(
                name=name, dimension=dimension, fingerprint=fingerprint, server=in_memory, **collection
            )
        else:
            store = VectorSearchService(
                milvus=MilvusConfig(uri=uri),
                collection=CollectionConfig(name=name, **collection),
                performance=PerformanceConfig(batch_size=100),
                dimension=dimension,
                fingerprint=fingerprint,
            )
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()
    if uri:  # Loaded collections cost a server memory, and each search a little time.
        client = MilvusClient(uri, timeout=10, dedicated=True)
        client.drop_collection(name, timeout=10)
        client.close()


@pytest.fixture
def store(make_store: MakeStore) -> VectorStore:
    store = make_store()
    store.open()
    return store


@pytest.fixture
def new_id() -> Callable[[], str]:
    """Ids in ascending order, so that a test can say which of two comes first."""
    numbers = itertools.count(1)
    return lambda: str(uuid.UUID(int=next(numbers)))

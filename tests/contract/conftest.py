"""Stores for the contract: the in-memory one, and VectorSearchService on one guarded Milvus Lite per session."""

import itertools
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.servers import embedded_milvus
from worker.vector_search.config import CollectionConfig, MilvusConfig, PerformanceConfig
from worker.vector_search.core import VectorSearchService
from worker.vector_search.interfaces import VectorStore
from worker.vector_search.memory import InMemoryVectorStore, MemoryCollection

DIMENSION = 8
FINGERPRINT = "a" * 64

#: Makes an unopened store of this test's collection; another dimension or fingerprint may be asked for.
MakeStore = Callable[..., VectorStore]


@pytest.fixture(scope="session")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_milvus(tmp_path_factory.mktemp("milvus")) as (uri, _process):
        yield uri


@pytest.fixture(params=["memory", pytest.param("milvus", marks=pytest.mark.services)])
def make_store(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    name = f"faces_{uuid.uuid4().hex}"
    made: list[VectorStore] = []
    in_memory: dict[str, MemoryCollection] = {}
    uri = request.getfixturevalue("milvus_uri") if request.param == "milvus" else ""

    def make(*, dimension: int = DIMENSION, fingerprint: str = FINGERPRINT) -> VectorStore:
        if request.param == "memory":
            store: VectorStore = InMemoryVectorStore(
                name=name, dimension=dimension, fingerprint=fingerprint, server=in_memory
            )
        else:
            store = VectorSearchService(
                milvus=MilvusConfig(uri=uri),
                collection=CollectionConfig(name=name),
                performance=PerformanceConfig(batch_size=100),
                dimension=dimension,
                fingerprint=fingerprint,
            )
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


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

"""The contract holds for a store that is cached and watched, and whose cache keeps everything at once."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.contract.conftest import DIMENSION, FINGERPRINT, MakeStore
from tests.contract.test_generations import *  # noqa: F403
from tests.contract.test_several_galleries import *  # noqa: F403
from tests.contract.test_vector_store import *  # noqa: F403
from tests.contract.test_vector_store_reads import *  # noqa: F403
from tests.redis_server import redis_server
from worker.vector_search.cache import CachedVectorStore, CacheManager
from worker.vector_search.config import MonitoringConfig
from worker.vector_search.interfaces import VectorStore
from worker.vector_search.memory import InMemoryVectorStore, MemoryCollection
from worker.vector_search.monitoring import MetricsCollector, MonitoredVectorStore

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _process):
        yield url


@pytest.fixture
def make_store(redis_url: str) -> Iterator[MakeStore]:
    with a_cached_collection(redis_url) as make:
        yield make


@pytest.fixture
def make_other(redis_url: str) -> Iterator[MakeStore]:
    with a_cached_collection(redis_url) as make:
        yield make


@contextmanager
def a_cached_collection(redis_url: str) -> Iterator[MakeStore]:
    name = f"faces_{uuid.uuid4().hex}"
    server: dict[str, MemoryCollection] = {}
    made: list[VectorStore] = []

    def make(*, dimension: int = DIMENSION, fingerprint: str = FINGERPRINT, **options: object) -> VectorStore:
        inner = InMemoryVectorStore(name=name, dimension=dimension, fingerprint=fingerprint, server=server, **options)
        cache = CacheManager(redis_url, collection=name, ttl_seconds=60, max_values=100, settle_seconds=0)
        store = MonitoredVectorStore(CachedVectorStore(inner, cache), MetricsCollector(MonitoringConfig()))
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()

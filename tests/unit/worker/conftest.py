"""A redis-cache for the tests of what is kept there."""

from collections.abc import Iterator

import pytest
import redis

from tests.redis_server import redis_server
from tests.unit.worker.vector_search.cached import Service, running_service


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _process):
        yield url


@pytest.fixture
def service(redis_url: str) -> Iterator[Service]:
    yield from running_service(redis_url)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client

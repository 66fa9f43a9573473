"""A real Redis for the tests of what is in the queues."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.redis_server import point_at, redis_server


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Redis for all tests of a file: Celery keeps its connections."""
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@pytest.fixture
def broker(url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """An empty Redis that is broker and cache."""
    point_at(url, settings, monkeypatch)
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client

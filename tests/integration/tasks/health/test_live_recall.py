"""What live searches lose: redis-cache keeps figures only, for an hour, and the health report shows them."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import redis.asyncio

from tasks import clock
from tasks.config import QueueConfig
from tasks.health import live_recall
from tasks.health.checks import HealthReport
from tasks.health.live_recall import GalleryRecall
from tasks.health.reports import WorkerReport, report_key
from tasks.messages.base import Target
from tasks.messages.consistency import RecallSample
from tasks.web.search_client import SearchClient
from tasks.worker import consistency
from tasks.worker.consistency import sample_recall
from tests.redis_server import redis_server

pytestmark = pytest.mark.services

GALLERY, OTHER = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
TARGET = Target(pack="dlib", collection="faces")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _process):
        yield url


@pytest.fixture
def cache(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client


def published(url: str) -> tuple[GalleryRecall, ...]:
    async def read() -> tuple[GalleryRecall, ...]:
        async with redis.asyncio.Redis.from_url(url) as client:
            return await live_recall.published(client, TARGET.collection)

    return asyncio.run(read())


def sampled(monkeypatch: pytest.MonkeyPatch, url: str, settings: Any, recalls: dict[str, float]) -> None:
    """Run the task in a worker whose searches have these figures."""
    settings.REDIS_CACHE_URL = url
    monkeypatch.setattr(consistency.state, "_indexes", SimpleNamespace(measure_live=lambda target: recalls))
    sample_recall(RecallSample(target=TARGET).to_json())


def test_what_is_shown_is_the_mean_of_the_last_hour_the_lowest_first(
    url: str, cache: redis.Redis, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled(monkeypatch, url, settings, {GALLERY: 1.0, OTHER: 0.5})
    sampled(monkeypatch, url, settings, {OTHER: 0.7})
    assert [(each.gallery_id, round(each.recall, 6)) for each in published(url)] == [(OTHER, 0.6), (GALLERY, 1.0)]
    assert 0 < cache.ttl(live_recall.recall_key("faces")) <= live_recall.KEPT_SECONDS


def test_an_older_measurement_says_nothing(url: str, cache: redis.Redis) -> None:
    old = {"at": clock.now() - live_recall.KEPT_SECONDS - 1, "recalls": {GALLERY: 0.1}}
    cache.lpush(live_recall.recall_key("faces"), json.dumps(old))
    assert published(url) == ()


def test_few_measurements_are_kept_however_often_somebody_measures(url: str, cache: redis.Redis) -> None:
    for _ in range(live_recall.MOST_KEPT + 10):
        live_recall.publish(cache, "faces", {GALLERY: 1.0})
    assert cache.llen(live_recall.recall_key("faces")) == live_recall.MOST_KEPT


def test_a_worker_that_was_not_searched_tells_nothing(
    url: str, cache: redis.Redis, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled(monkeypatch, url, settings, {})
    assert cache.keys() == []


def test_the_service_says_so_and_is_ready_all_the_same(url: str, cache: redis.Redis) -> None:
    live_recall.publish(cache, "faces", {GALLERY: 0.5})
    cache.set(report_key("a"), report("search.dlib", "index.dlib", "records").model_dump_json())

    async def check() -> HealthReport:
        config = QueueConfig(redis_url=url, redis_cache_url=url, target=TARGET, recall_min=0.99)
        async with SearchClient(config) as service:
            return await service.health_check()

    found = asyncio.run(check())
    assert found.is_healthy
    assert [each.gallery_id for each in found.recalls] == [GALLERY]
    assert any("Searches in one gallery find less" in problem for problem in found.problems)


def report(*queues: str) -> WorkerReport:
    return WorkerReport(name="a", pid=1, queues=queues, is_healthy=True)

"""What live searches lose is measured in the worker, told to redis-cache as figures only, and shown by gallery."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import redis
import redis.asyncio

from tasks import names
from tasks.beat.schedule import beat_schedule
from tasks.config import QueueConfig
from tasks.health import exposition, live_recall
from tasks.health.checks import HealthReport
from tasks.health.live_recall import GalleryRecall
from tasks.health.reports import WorkerReport, report_key
from tasks.messages.base import Target
from tasks.messages.consistency import RecallSample
from tasks.web.search_client import SearchClient
from tasks.worker import consistency
from tasks.worker.consistency import sample_recall
from tests import pictures
from tests.redis_server import redis_server
from worker.config import FaceConfig
from worker.face_index import FaceIndex
from worker.recognition.engine import FaceEngine
from worker.vector_search.interfaces import SearchQuery
from worker.vector_search.memory import InMemoryVectorStore
from worker.vector_search.recall.live import LiveQueries

GALLERY, OTHER = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
TARGET = Target(pack="starter", collection="faces")


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


# -- figures ----------------------------------------------------------------------------------------------------


def test_what_is_shown_is_the_mean_of_the_last_hour_the_lowest_first(
    url: str, cache: redis.Redis, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled(monkeypatch, url, settings, {GALLERY: 1.0, OTHER: 0.5})
    sampled(monkeypatch, url, settings, {OTHER: 0.7})
    assert [(each.gallery_id, round(each.recall, 6)) for each in published(url)] == [(OTHER, 0.6), (GALLERY, 1.0)]
    assert 0 < cache.ttl(live_recall.recall_key("faces")) <= live_recall.KEPT_SECONDS


def test_an_older_measurement_says_nothing(url: str, cache: redis.Redis) -> None:
    old = {"at": time.time() - live_recall.KEPT_SECONDS - 1, "recalls": {GALLERY: 0.1}}
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


@pytest.mark.parametrize(
    ("recalls", "said"),
    [
        ([], ""),
        ([0.99, 1.0], ""),
        ([0.9, 1.0], "Searches in one gallery find less than 99.00% of the matches"),
        ([0.9, 0.98], "Searches in 2 galleries find less than 99.00% of the matches"),
    ],
)
def test_a_gallery_that_is_below_the_least_is_worth_a_sentence(recalls: list[float], said: str) -> None:
    found = [GalleryRecall(gallery_id=str(uuid.UUID(int=n)), recall=each, at=0) for n, each in enumerate(recalls)]
    problem = live_recall.recall_problem(found, least=0.99)
    assert problem.startswith(said)
    assert bool(problem) == bool(said)
    assert not said or f"in {uuid.UUID(int=0)} it was 90.00%" in problem


def test_the_metric_carries_the_gallery() -> None:
    recalls = (GalleryRecall(gallery_id=GALLERY, recall=0.75, at=0),)
    text = exposition.observed(queues=[], canaries=(), workers=(), recalls=recalls, now=0).decode()
    assert f'facequeue_match_recall{{gallery="{GALLERY}"}} 0.75' in text.splitlines()


def test_beat_asks_as_often_as_the_settings_say_and_no_sample_outlives_the_next(settings: Any) -> None:
    settings.RECALL_INTERVAL_SECONDS = 7.0
    entry = beat_schedule()["ask-for-recall"]
    assert (entry["task"], entry["schedule"]) == (names.ASK_FOR_RECALL, 7.0)
    assert entry["options"] == {"queue": "records", "expires": 7.0}
    settings.RECALL_INTERVAL_SECONDS = 0.0
    assert "ask-for-recall" not in beat_schedule()


def test_the_service_says_so_and_is_ready_all_the_same(url: str, cache: redis.Redis) -> None:
    live_recall.publish(cache, "faces", {GALLERY: 0.5})
    cache.set(report_key("a"), report("search.starter", "index.starter", "records").model_dump_json())

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


# -- in the worker -------------------------------------------------------------------------------------------------


class Offered(LiveQueries):
    """Remembers what it was offered."""

    def __init__(self, store: InMemoryVectorStore) -> None:
        super().__init__(store, min_similarity=0.3, sampled_share=1.0)
        self.queries: list[SearchQuery] = []

    def offer(self, query: SearchQuery) -> None:
        self.queries.append(query)
        super().offer(query)


def test_a_search_is_offered_once_it_was_answered_and_one_without_faces_is_not() -> None:
    engine = FaceEngine(FaceConfig(packs_dir=Path("unused")))
    engine.open()
    store = InMemoryVectorStore(name="x", dimension=engine.pack.dimension, fingerprint="f" * 64)
    live = Offered(store)
    index = FaceIndex(engine, store, live=live)
    index.open()
    try:
        found = index.search(pictures.sample_bytes("tom_hanks"), gallery_ids=(GALLERY,), limit=3, min_similarity=None)
        nobody = pictures.saved(pictures.gradient_picture(), "PNG")
        index.search(nobody, gallery_ids=(GALLERY,), limit=3, min_similarity=None)
    finally:
        index.close()
    [query] = live.queries
    assert query.gallery_ids == (GALLERY,)
    np.testing.assert_array_equal(query.embeddings, np.stack([each.face.embedding for each in found.faces]))

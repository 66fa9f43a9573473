"""What a GPU worker opens: a FaceIndex on real servers, with its cache and its metrics as the settings say."""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from tasks.health.reports import WorkerReport, report_key
from tasks.messages.base import Target
from tasks.messages.generations import Measured, MeasureRequest
from tasks.targets import default_target
from tasks.web.memory import MemoryWorkQueue
from tasks.work_queue import use_work_queue
from tasks.worker import generations
from tasks.worker.lifecycle import open_worker
from tasks.worker.state import WorkerState
from tests import pictures
from tests.redis_server import redis_server
from tests.servers import embedded_milvus
from tests.waiting import eventually
from worker.bulk import PhotoToIndex

pytestmark = pytest.mark.services

GALLERY = str(uuid.uuid4())
TOM = pictures.sample_bytes("tom_hanks")
QUEUES = ("search.dlib",)


@pytest.fixture(scope="module")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_milvus(tmp_path_factory.mktemp("milvus")) as (uri, _process):
        yield uri


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[redis.Redis]:
    with redis_server(tmp_path) as (url, _process), redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture
def configured(settings: Any, milvus_uri: str, cache: redis.Redis) -> Any:
    port = cache.connection_pool.connection_kwargs["port"]
    settings.REDIS_URL = settings.REDIS_CACHE_URL = f"redis://127.0.0.1:{port}/0"
    settings.MILVUS_CONFIG = {**settings.MILVUS_CONFIG, "URI": milvus_uri}
    settings.COLLECTION_CONFIG = {**settings.COLLECTION_CONFIG, "NAME": f"faces_{uuid.uuid4().hex}"}
    return settings


def add_and_search_twice(state: WorkerState) -> list[str]:
    """Return the photos that the searches found."""
    photo_id = str(uuid.uuid4())
    index = state.indexes.index(default_target())
    index.add([PhotoToIndex(photo_id=photo_id, gallery_id=GALLERY, read=lambda: TOM)])
    answers = [index.search(TOM, gallery_ids=(GALLERY,), limit=5, min_similarity=None) for _ in range(2)]
    assert answers[0].faces[0].matches == answers[1].faces[0].matches
    return [match.photo_id for answer in answers for match in answer.faces[0].matches]


def test_a_worker_caches_and_reports_its_searches(configured: Any, cache: redis.Redis) -> None:
    state = WorkerState(report_interval_seconds=0.1)
    state.open("search@a", QUEUES)
    try:
        assert len(add_and_search_twice(state)) == 2
        report = state.describe()
        assert report.metrics is not None
        assert report.metrics.total_searches == 2
        # The second search found the faces of its picture; matches settle for some seconds after a write.
        assert report.metrics.cache_hit_rate_percent == 25.0
        assert cache.keys("facequeue:cache:*:faces:*")
        eventually(lambda: _published(cache).metrics is not None, "the next report has the metrics")
    finally:
        state.close()


def _published(cache: redis.Redis) -> WorkerReport:
    return WorkerReport.model_validate_json(cache.get(report_key("search@a")))  # type: ignore[arg-type]


@pytest.mark.parametrize(("interval_seconds", "measured"), [(300.0, {GALLERY: 1.0}), (0.0, {})])
def test_a_worker_measures_what_its_searches_lose_when_somebody_asks(
    configured: Any, monkeypatch: pytest.MonkeyPatch, interval_seconds: float, measured: dict[str, float]
) -> None:
    configured.RECALL_INTERVAL_SECONDS = interval_seconds
    monkeypatch.setattr("tasks.worker.open_indexes.SAMPLED_SHARE", 1.0)
    state = WorkerState()
    state.open("search@a", QUEUES)
    try:
        assert state.indexes.measure_live(default_target()) == {}
        add_and_search_twice(state)
        assert state.indexes.measure_live(default_target()) == measured
        assert state.indexes.measure_live(default_target()) == {}
        assert state.indexes.measure_live(Target(pack="dlib", collection="never_opened")) == {}
    finally:
        state.close()


def test_a_measurement_of_the_collection_is_no_search(configured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    state, queue = WorkerState(), MemoryWorkQueue()
    monkeypatch.setattr(generations, "state", state)
    state.open("index@a", QUEUES)
    try:
        add_and_search_twice(state)
        with use_work_queue(queue):
            generations.measure_collection(MeasureRequest(target=default_target(), run_id="t").to_json())
        [measured] = queue.messages(Measured)
        assert (measured.face_count, measured.match_recall) == (1, 1.0)
        assert state.describe().metrics.total_searches == 2  # type: ignore[union-attr]
    finally:
        state.close()


def connections_to(uri: str) -> int:
    port = urlsplit(uri).port
    return sum(each.raddr[1:] == (port,) for each in psutil.Process().net_connections() if each.raddr)


def test_other_search_parameters_are_used_for_the_next_search_without_opening_the_collection_again(
    configured: Any, milvus_uri: str
) -> None:
    configured.COLLECTION_CONFIG |= {"INDEX_TYPE": "IVF_FLAT"}
    state = WorkerState()
    state.open("search@a", QUEUES)
    try:
        before = default_target()
        after = before.model_copy(update={"index": before.index.model_copy(update={"search_params": {"nprobe": 3}})})
        assert len(add_and_search_twice(state)) == 2
        opened = connections_to(milvus_uri)
        answer = state.indexes.index(after).search(TOM, gallery_ids=(GALLERY,), limit=5, min_similarity=None)
        assert len(answer.faces[0].matches) >= 1
        assert state.indexes.index(after) is state.indexes.index(after)
        assert state.indexes.index(after) is not state.indexes.index(before), "older messages still have theirs"
        assert connections_to(milvus_uri) == opened
    finally:
        state.close()


def test_switched_off_the_cache_sends_redis_no_command_at_all(configured: Any, cache: redis.Redis) -> None:
    configured.PERFORMANCE_CONFIG = {**configured.PERFORMANCE_CONFIG, "ENABLE_CACHING": False}
    state = WorkerState(report_interval_seconds=3600)
    state.open("search@a", QUEUES)
    try:
        while cache.get(report_key("search@a")) is None:
            pass  # the one command that a worker sends without having been asked anything
        cache.config_resetstat()
        assert len(add_and_search_twice(state)) == 2

        assert set(cache.info("commandstats")) <= {"cmdstat_config|resetstat", "cmdstat_info"}
        assert state.describe().metrics.cache_hit_rate_percent is None  # type: ignore[union-attr]
    finally:
        state.close()


def test_without_metrics_the_report_has_none(configured: Any) -> None:
    configured.MONITORING_CONFIG = {**configured.MONITORING_CONFIG, "ENABLE_METRICS": False}
    state = WorkerState()
    state.open("search@a", QUEUES)
    try:
        add_and_search_twice(state)
        assert state.describe().metrics is None
    finally:
        state.close()


def test_tracing_without_its_package_stops_the_start_with_a_sentence(
    configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured.MONITORING_CONFIG = {**configured.MONITORING_CONFIG, "ENABLE_TRACING": True}
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setattr("tasks.worker.lifecycle.lower_priority", lambda queues: 0)  # other tests run here, too
    queues = SimpleNamespace(consume_from=QUEUES)

    with pytest.raises(SystemExit) as left:
        open_worker(
            SimpleNamespace(
                hostname="search@a", concurrency=8, app=SimpleNamespace(amqp=SimpleNamespace(queues=queues))
            )
        )

    assert "facequeue[tracing]" in str(left.value)

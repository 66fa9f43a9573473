"""Processes come and go on purpose: each drains, nothing fails, and who must wait for another says so."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tasks.health.reports import KEY_PREFIX, WorkerReport
from tests.faults.conftest import ENVIRONMENT
from tests.faults.invariants import wait_until_whole
from tests.faults.traffic import HONEST, Traffic, portraits, wait_until_searchable
from tests.service import EVERYTHING, SERVERS, RunningService
from tests.waiting import HANG_SECONDS, eventually
from tests.web_client import WebClient

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

PHOTOS = 60


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service without a supervisor: what ends stays so until the test starts it."""
    folder = tmp_path_factory.mktemp("graceful")
    # A search outlasts the restart of the only worker that there is.
    environment = ENVIRONMENT | {"SEARCH_TIMEOUT_SECONDS": "40"}
    with RunningService(folder, processes=(*EVERYTHING, "flower"), environment=environment) as service:
        service.create_user()
        service.wait_until_healthy()
        yield service


@pytest.mark.faults
def test_a_rolling_restart_of_every_process_loses_and_fails_nothing(alone: RunningService):
    with Traffic(alone, "rolling restart", photos=PHOTOS, web_may_break=True) as traffic:
        traffic.wait_for_the_import()
        for name in ("worker-search", "worker-index", "worker-records", "web", "beat", "flower", *SERVERS):
            before = traffic.searches.copy()
            status = alone.stop(name)
            assert status != -signal.SIGKILL, f"{name} did not end in time"
            alone.start(name)
            alone.wait_until_healthy()
            answered = traffic.searches["answered"]
            eventually(lambda answered=answered: traffic.searches["answered"] > answered + 1, "searches")
            told = set(traffic.searches - before) - {"answered"}
            print(f"restart of {name}: status {status}, searches {dict(traffic.searches - before)}")
            # Of our own processes only the web breaks a connection, which its client makes again.
            assert told <= (HONEST if name in SERVERS else {"broken"} if name == "web" else set()), name
        traffic.wait_for_every_photo()
    traffic.check("rolling restart", wait_until_whole(alone))
    wait_until_searchable(alone, traffic.gallery)


@pytest.mark.faults
def test_a_worker_beyond_its_memory_bound_finishes_what_it_runs_and_ends(alone: RunningService):
    alice = WebClient(alone.url)
    gallery = alice.create_gallery("memory")
    alone.stop("worker-index")
    alone.environment["WORKER_MAX_MEMORY_MB"] = "1"
    try:
        worker = alone.start("worker-index")
        alice.upload(gallery, portraits(PHOTOS, of="memory"))
        assert worker.wait(60) == 0
    finally:
        del alone.environment["WORKER_MAX_MEMORY_MB"]
        alone.start("worker-index")
    said = alone.log("worker-index")
    assert "its limit is 1 MB" in said
    assert "begun before and never ended" not in said.lower(), "it left a task behind"
    wait_until_whole(alone)
    assert alice.progress(gallery)["indexed"] == PHOTOS
    alice.close()


def report_of(service: RunningService) -> WorkerReport | None:
    """What the only worker says of itself."""
    try:
        with redis.Redis.from_url(service.redis_cache_url, socket_timeout=2) as cache:
            reports = [cache.get(key) for key in cache.keys(KEY_PREFIX + "*")]
    except redis.RedisError:
        return None
    return WorkerReport.model_validate_json(reports[0]) if reports and reports[0] else None


def problem_of(service: RunningService) -> str:
    report = report_of(service)
    return "no report" if report is None else report.problem


def is_well_again(service: RunningService) -> bool:
    """Whether the search worker is well; as a supervisor would, start it again if it has ended.

    Kombu 5.7 ends a worker whose Redis goes away at the moment when it acknowledges a message (docs/faults.md, row 1).
    """
    if service.process("worker-search").poll() is not None:
        service.start("worker-search")
    return not problem_of(service)


def test_a_worker_waits_for_everything_that_it_needs_and_says_so(tmp_path: Path):
    # A restarted Milvus Lite loads its collection for the next search: here it is a canary.
    environment = {"CANARY_INTERVAL": "1"}
    with RunningService(tmp_path, processes=["worker-search", "beat"], environment=environment) as service:
        service.start("redis-cache")
        service.wait_until(lambda: "waits for Milvus" in problem_of(service), "it says that it waits")
        report = report_of(service)
        assert report is not None
        assert not report.is_healthy
        assert "waits for Milvus" in service.log("worker-search")

        service.start("milvus")
        service.wait_until(lambda: "cannot reach Redis" in problem_of(service), "it has found Milvus and lacks Redis")
        service.wait_until(lambda: "Cannot connect to redis" in service.log("worker-search"), "its log says so")

        service.start("redis")
        service.wait_until(lambda: "ready." in service.log("worker-search"), "it consumes")
        service.wait_until(lambda: not problem_of(service), "it is well")

        for name in ("redis", "milvus"):
            service.kill(name)
            eventually(lambda: bool(problem_of(service)), f"it misses {name}")
            service.start(name)
            eventually(lambda: is_well_again(service), f"it has found {name} again")

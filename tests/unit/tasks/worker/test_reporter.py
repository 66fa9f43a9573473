"""A worker's report is renewed at every interval and does not outlive its worker."""

import queue
import threading
from typing import Any, cast

import pytest
import redis

from tasks.health.reports import WorkerReport, report_key
from tasks.worker.reporter import REPORT_TTL_INTERVALS, HealthReporter
from worker.metrics import SearchMetrics

INTERVAL_SECONDS = 15.0
#: Only a thread that hangs takes this long.
PATIENCE_SECONDS = 60.0


class Pauses(threading.Event):
    """Stands in for time: each pause between two reports lasts until the test ends it."""

    def __init__(self) -> None:
        super().__init__()
        self._begun: queue.Queue[float | None] = queue.Queue()
        self._over = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        self._begun.put(timeout)
        self._over.acquire(timeout=PATIENCE_SECONDS)
        return self.is_set()

    def set(self) -> None:
        super().set()
        self._over.release()

    def next(self) -> float | None:
        """Wait for the reporter's next pause and return the length it asked for, in seconds."""
        return self._begun.get(timeout=PATIENCE_SECONDS)

    def end(self) -> None:
        self._over.release()


class Cache:
    """The part of redis-cache that a reporter uses. `lives_ms` are the lifetimes given to keys."""

    def __init__(self, *, is_down: bool = False) -> None:
        self.is_down = is_down
        self.values: dict[str, str] = {}
        self.lives_ms: list[int] = []

    def set(self, key: str, value: str, *, px: int) -> None:
        if self.is_down:
            raise redis.ConnectionError("redis-cache does not answer.")
        self.values[key] = value
        self.lives_ms.append(px)

    def delete(self, key: str) -> None:
        if self.is_down:
            raise redis.ConnectionError("redis-cache does not answer.")
        self.values.pop(key, None)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


def reporter_of(cache: Cache, describe: Any, pauses: Pauses) -> HealthReporter:
    return HealthReporter(cast("redis.Redis", cache), "a", describe, interval_seconds=INTERVAL_SECONDS, stopping=pauses)


def test_the_interval_sets_how_often_a_worker_reports_and_how_long_a_report_lives(pauses: Pauses) -> None:
    metrics, cache = SearchMetrics(), Cache()

    def describe() -> WorkerReport:
        metrics.record(response_time_ms=5.0, failed=False)
        return WorkerReport(name="a", pid=1, queues=(), is_healthy=True, metrics=metrics.summary())

    reporter = reporter_of(cache, describe, pauses)
    reporter.open()
    for looks in (1, 2, 3):
        assert pauses.next() == INTERVAL_SECONDS
        report = WorkerReport.model_validate_json(cache.values[report_key("a")])
        assert report.metrics is not None
        assert report.metrics.total_searches == looks
        if looks < 3:
            pauses.end()
    reporter.close()

    assert cache.lives_ms == [REPORT_TTL_INTERVALS * INTERVAL_SECONDS * 1000] * 3
    assert cache.values == {}


def test_a_reporter_outlasts_a_cache_that_is_down(pauses: Pauses) -> None:
    cache = Cache(is_down=True)
    reporter = reporter_of(cache, lambda: WorkerReport(name="a", pid=1, queues=(), is_healthy=True), pauses)
    reporter.open()
    pauses.next()
    cache.is_down = False
    pauses.end()
    pauses.next()
    assert set(cache.values) == {report_key("a")}
    cache.is_down = True
    reporter.close()


def test_a_report_of_a_release_without_metrics_is_understood() -> None:
    report = WorkerReport.model_validate_json('{"name": "a", "pid": 1, "queues": [], "is_healthy": true}')

    assert report.metrics is None

"""A worker's report is renewed as often as it is told to, and does not outlive its worker."""

import time
from pathlib import Path

import pytest
import redis

from tasks.health.reports import WorkerReport, report_key
from tasks.worker.reporter import HealthReporter
from tests.redis_server import redis_server
from worker.metrics import SearchMetrics

pytestmark = pytest.mark.services


def test_the_interval_says_how_often_a_worker_is_looked_at_and_how_long_silence_is_believed(tmp_path: Path) -> None:
    metrics = SearchMetrics()
    looks: list[float] = []

    def describe() -> WorkerReport:
        looks.append(time.monotonic())
        metrics.record(response_time_ms=5.0, failed=False)
        return WorkerReport(name="a", pid=1, queues=(), is_healthy=True, metrics=metrics.summary())

    with redis_server(tmp_path) as (url, _process), redis.Redis.from_url(url) as cache:
        reporter = HealthReporter(cache, "a", describe, interval_seconds=0.1)
        reporter.open()
        time.sleep(0.55)
        lives_ms = cache.pttl(report_key("a"))
        report = WorkerReport.model_validate_json(cache.get(report_key("a")))  # type: ignore[arg-type]
        reporter.close()

        assert 3 <= len(looks) <= 7
        assert 200 < lives_ms <= 400
        assert report.metrics is not None
        assert report.metrics.total_searches >= 3
        assert cache.get(report_key("a")) is None

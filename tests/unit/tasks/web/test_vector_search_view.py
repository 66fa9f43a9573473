"""What the web knows of the workers' vector search: one summary of all their reports."""

from typing import Any

from tasks.health.checks import HealthReport
from tasks.health.reports import WorkerReport
from tasks.web.vector_search_view import VectorSearchView
from worker.metrics import MetricsSummary


def worker(total: int, failed: int, average_ms: float, p95_ms: float, hit_rate: float | None) -> WorkerReport:
    return WorkerReport(
        name="w",
        pid=1,
        queues=(),
        is_healthy=True,
        metrics=MetricsSummary(
            total_searches=total,
            failed_searches=failed,
            error_rate_percent=100 * failed / total if total else 0.0,
            avg_response_time_ms=average_ms,
            p50_response_time_ms=average_ms,
            p95_response_time_ms=p95_ms,
            p99_response_time_ms=p95_ms,
            cache_hit_rate_percent=hit_rate,
        ),
    )


async def summary_of(*workers: WorkerReport) -> dict[str, Any]:
    async def health_check() -> HealthReport:
        return HealthReport(workers=workers, findings=())

    return await VectorSearchView(health_check)._metrics.get_metrics_summary()


async def test_metrics_cover_all_workers_weighted_by_their_searches() -> None:
    without_metrics = WorkerReport(name="records", pid=2, queues=(), is_healthy=True)
    found = await summary_of(worker(30, 3, 10.0, 20.0, 50.0), worker(10, 0, 50.0, 80.0, None), without_metrics)
    assert found == {
        "summary": {
            "workers": 2,
            "total_searches": 40,
            "failed_searches": 3,
            "error_rate_percent": 7.5,
            "cache_hit_rate_percent": 50.0,
        },
        "performance": {
            "avg_response_time_ms": 20.0,
            "p50_response_time_ms": 50.0,
            "p95_response_time_ms": 80.0,
            "p99_response_time_ms": 80.0,
        },
    }


async def test_metrics_before_the_first_search_are_zero() -> None:
    for found in (await summary_of(), await summary_of(worker(0, 0, 0.0, 0.0, None))):
        assert found["summary"]["total_searches"] == 0
        assert found["summary"]["error_rate_percent"] == 0.0
        assert found["summary"]["cache_hit_rate_percent"] is None
        assert found["performance"]["avg_response_time_ms"] == 0.0

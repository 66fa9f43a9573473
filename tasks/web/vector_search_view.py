"""VectorSearchView: the workers' vector search as a web process sees it, which has no vector store itself."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tasks.health.checks import HealthReport
from worker.metrics import WINDOW, MetricsSummary


class WorkersMetrics:
    """What all workers together have measured of their searches in the vector store."""

    def __init__(self, health_check: Callable[[], Awaitable[HealthReport]]) -> None:
        self._health_check = health_check

    async def get_metrics_summary(self) -> dict[str, dict[str, Any]]:
        """Read the workers' reports and summarise them: counts since each worker started, times in milliseconds.

        Workers publish a report every few seconds. A worker that has ended no longer counts; neither does one with
        ENABLE_METRICS off. Averages and the cache hit rate are weighted by each worker's searches. A percentile is the
        highest among the workers, since percentiles cannot be averaged: the true one is at most that.
        `cache_hit_rate_percent` is None when no worker has looked anything up.
        """
        report = await self._health_check()
        return _combined([worker.metrics for worker in report.workers if worker.metrics is not None])


class VectorSearchView:
    """Read-only. `health_check` returns the workers' reports."""

    def __init__(self, health_check: Callable[[], Awaitable[HealthReport]]) -> None:
        self._metrics = WorkersMetrics(health_check)


def _combined(workers: Sequence[MetricsSummary]) -> dict[str, dict[str, Any]]:
    total = sum(each.total_searches for each in workers)
    failed = sum(each.failed_searches for each in workers)
    # A worker's average is over its last WINDOW searches.
    average_ms = _weighted([(each.avg_response_time_ms, min(each.total_searches, WINDOW)) for each in workers])
    hit_rates = [
        (each.cache_hit_rate_percent, each.total_searches)
        for each in workers
        if each.cache_hit_rate_percent is not None
    ]
    return {
        "summary": {
            "workers": len(workers),
            "total_searches": total,
            "failed_searches": failed,
            "error_rate_percent": round(100.0 * failed / total, 2) if total else 0.0,
            "cache_hit_rate_percent": round(_weighted(hit_rates), 2) if hit_rates else None,
        },
        "performance": {
            "avg_response_time_ms": round(average_ms, 2),
            **{name: round(max((getattr(each, name) for each in workers), default=0.0), 2) for name in _PERCENTILES},
        },
    }


_PERCENTILES = ("p50_response_time_ms", "p95_response_time_ms", "p99_response_time_ms")


def _weighted(values: Sequence[tuple[float, float]]) -> float:
    """Return the average of (value, weight) pairs; 0.0 when the weights add up to nothing."""
    weight = sum(weight for _, weight in values)
    return sum(value * weight for value, weight in values) / weight if weight else 0.0

"""What this process has seen of its searches: counts and the times of the last thousand."""

import threading
from collections import deque
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import Final

#: Percentiles are over this many latest searches.
WINDOW: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSummary:
    """Times are from sending a search to its answer, in milliseconds; 0.0 before the first one."""

    total_searches: int
    failed_searches: int
    error_rate_percent: float
    avg_response_time_ms: float
    p50_response_time_ms: float
    p95_response_time_ms: float
    p99_response_time_ms: float


class SearchMetrics:
    """Counts searches. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = 0
        self._failed = 0
        self._times_ms: deque[float] = deque(maxlen=WINDOW)

    def record(self, *, response_time_ms: float, failed: bool) -> None:
        with self._lock:
            self._total += 1
            self._failed += failed
            self._times_ms.append(response_time_ms)

    def summary(self) -> MetricsSummary:
        with self._lock:
            total, failed, times_ms = self._total, self._failed, list(self._times_ms)
        # quantiles() needs two points; one time is every percentile of itself.
        cuts = quantiles(times_ms * 2 if len(times_ms) == 1 else times_ms, n=100) if times_ms else [0.0] * 99
        return MetricsSummary(
            total_searches=total,
            failed_searches=failed,
            error_rate_percent=100.0 * failed / total if total else 0.0,
            avg_response_time_ms=fmean(times_ms) if times_ms else 0.0,
            p50_response_time_ms=cuts[49],
            p95_response_time_ms=cuts[94],
            p99_response_time_ms=cuts[98],
        )

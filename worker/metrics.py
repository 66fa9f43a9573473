"""How a process measures its searches: counts, the times of the last thousand, and how long each stage takes.

Both sides use it: the web measures from sending a search to its answer, the worker (`vector_search/monitoring.py`) each
search of the vector store.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import Final, Literal, Protocol

#: Percentiles cover this many of the latest searches.
WINDOW: Final = 1000


#: The stages of work on an image: decode it, detect its faces, make and save its renditions, embed, search for matches.
Stage = Literal["decode", "detect", "render", "save", "embed", "search"]


class Stages(Protocol):
    """Records how long stages took, in seconds. Called from any thread; never raises."""

    def record(self, stage: Stage, seconds: float) -> None: ...


class _NoStages:
    def record(self, stage: Stage, seconds: float) -> None:
        pass


#: Measures nothing: the default wherever Stages may be given.
NO_STAGES: Final[Stages] = _NoStages()


@contextmanager
def timed(stages: Stages, stage: Stage) -> Iterator[None]:
    """Measure one stage, even when it fails."""
    started = time.perf_counter()
    try:
        yield
    finally:
        stages.record(stage, time.perf_counter() - started)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSummary:
    """Times are in milliseconds and include failed searches; 0.0 before the first search.

    `cache_hit_rate_percent` is the share of cache look-ups that found something; None before the first look-up.
    """

    total_searches: int
    failed_searches: int
    error_rate_percent: float
    avg_response_time_ms: float
    p50_response_time_ms: float
    p95_response_time_ms: float
    p99_response_time_ms: float
    cache_hit_rate_percent: float | None = None


class SearchMetrics:
    """Counts searches and cache look-ups. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = 0
        self._failed = 0
        self._times_ms: deque[float] = deque(maxlen=WINDOW)
        self._lookups = 0
        self._lookups_hit = 0

    def record(self, *, response_time_ms: float, failed: bool) -> None:
        with self._lock:
            self._total += 1
            self._failed += failed
            self._times_ms.append(response_time_ms)

    def record_lookup(self, *, hit: bool) -> None:
        with self._lock:
            self._lookups += 1
            self._lookups_hit += hit

    def summary(self) -> MetricsSummary:
        with self._lock:
            total, failed, times_ms = self._total, self._failed, list(self._times_ms)
            lookups, lookups_hit = self._lookups, self._lookups_hit
        # quantiles() needs two points; a single time equals all its percentiles.
        cuts = quantiles(times_ms * 2 if len(times_ms) == 1 else times_ms, n=100) if times_ms else [0.0] * 99
        return MetricsSummary(
            total_searches=total,
            failed_searches=failed,
            error_rate_percent=100.0 * failed / total if total else 0.0,
            avg_response_time_ms=fmean(times_ms) if times_ms else 0.0,
            p50_response_time_ms=cuts[49],
            p95_response_time_ms=cuts[94],
            p99_response_time_ms=cuts[98],
            cache_hit_rate_percent=100.0 * lookups_hit / lookups if lookups else None,
        )

"""MetricsCollector: reports on vector search as Prometheus metrics, a summary, log lines and spans.

It observes the store from outside, through MonitoredVectorStore, and counts what the cache reports. It only receives
ids, counts and times, never an embedding or an image. Its own failures are logged, never raised.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeVar, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from worker.errors import ConfigError, FaceQueueError
from worker.metrics import MetricsSummary, SearchMetrics
from worker.vector_search.config import MonitoringConfig
from worker.vector_search.interfaces import FaceRecord, Match, SearchQuery, VectorStore
from worker.vector_search.wrapped import WrappedVectorStore

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

#: The complete list of metrics. Prometheus shows them with METRIC_PREFIX, and counters with `_total` at the end.
MetricName = Literal[
    # Histogram: seconds from the call of a search, cached or not, to its answer or error
    "search_seconds",
    # Counter: searches that raised
    "search_failures",
    # Counter: query embeddings over all searches
    "search_embeddings",
    # Counter: matches over all answers
    "search_matches",
    # Histogram: seconds from the call of an upsert or a delete to its end or error
    "write_seconds",
    # Counter: writes that raised
    "write_failures",
    # Counter: rows over all upserts
    "write_faces",
    # Counters: whether the faces of a query image were in the cache
    "cache_faces_hits",
    "cache_faces_misses",
    # Counters: whether the matches of a query were in the cache
    "cache_matches_hits",
    "cache_matches_misses",
    # Counter: Redis did not answer; for a search this also counts as a miss
    "cache_failures",
]
METRIC_PREFIX: Final = "facequeue_vector_"

#: Buckets of the histograms in seconds: from an in-memory search to the longest timeout of a write.
BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

Operation = Literal["search", "drop", "upsert", "delete_faces", "delete_photos", "delete_stale_faces"]


class Recorder(Protocol):
    """Takes measurements. Never raises."""

    def record(self, name: MetricName, value: float = 1) -> None:
        """Add to a counter, or add an observation in seconds to a histogram."""
        ...


class NullRecorder:
    """Records nothing: the default wherever a Recorder is optional."""

    def record(self, name: MetricName, value: float = 1) -> None:
        pass


@dataclass(slots=True)
class WatchedCall:
    """A call in progress; the caller sets the number of matches."""

    operation: Operation
    #: The arguments, as ids and counts, for the log and the span.
    asked: Mapping[str, object]
    matches: int = 0
    #: The error's code, or empty.
    failure: str = ""
    seconds: float = 0.0


class MetricsCollector:
    """A Recorder with a summary. Safe to share between threads."""

    def __init__(self, config: MonitoringConfig) -> None:
        """Raises ConfigError when ENABLE_TRACING is on and OpenTelemetry is not installed."""
        self._config = config
        self._log_level = logging.getLevelNamesMapping()[config.log_level]
        self._tracer = _tracer() if config.enable_tracing else None
        self._searches = SearchMetrics()
        self.registry: Final = CollectorRegistry()
        self._metrics = {name: self._metric(name) for name in get_args(MetricName)} if config.enable_metrics else {}
        self._summary_due = time.monotonic() + config.metrics_interval_seconds
        self._searches_logged = 0

    def record(self, name: MetricName, value: float = 1) -> None:
        self._quietly(self._record, name, value)

    def summary(self) -> MetricsSummary | None:
        """Return a summary of this process's searches; None when ENABLE_METRICS is off."""
        return self._searches.summary() if self._config.enable_metrics else None

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format; empty when ENABLE_METRICS is off."""
        return generate_latest(self.registry)

    def log_summary_when_due(self) -> None:
        """Log the summary if METRICS_INTERVAL has passed since the last one and there have been searches since."""
        summary = self.summary()
        if summary is None or time.monotonic() < self._summary_due:
            return
        self._summary_due = time.monotonic() + self._config.metrics_interval_seconds
        if summary.total_searches == self._searches_logged:
            return
        self._searches_logged = summary.total_searches
        rate = summary.cache_hit_rate_percent
        logger.info(
            "%d searches, %.1f %% failed, average %.1f ms, p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, %s",
            *(summary.total_searches, summary.error_rate_percent, summary.avg_response_time_ms),
            *(summary.p50_response_time_ms, summary.p95_response_time_ms, summary.p99_response_time_ms),
            "no cache" if rate is None else f"cache hit rate {rate:.1f} %",
        )

    @contextmanager
    def watch(self, operation: Operation, asked: Callable[[], Mapping[str, object]]) -> Iterator[WatchedCall]:
        """Wrap one call to a store: time, count, log and trace it as configured.

        `asked()` returns the arguments, as ids and counts only.
        """
        call = WatchedCall(operation, self._quietly(asked) or {})
        span = ExitStack()
        self._quietly(self._begin, call, span)
        started = time.perf_counter()
        try:
            yield call
        except BaseException as error:
            call.failure = error.code if isinstance(error, FaceQueueError) else "internal"
            raise
        finally:
            call.seconds = time.perf_counter() - started
            self._quietly(self._end, call)
            self._quietly(span.close)

    # -- hooks: each may fail without consequences -----------------------------------------------------------

    def _quietly(self, hook: Callable[..., Answer], *arguments: object) -> Answer | None:
        """Return what the hook returns, or None if it fails."""
        try:
            return hook(*arguments)
        except Exception as error:  # noqa: BLE001  monitoring must not break what it watches
            # Without text and traceback: an error from third-party code may quote the values that it was given.
            name = getattr(hook, "__qualname__", type(hook).__name__)
            logger.error("Monitoring failed in %s (%s).", name, type(error).__name__)
            return None

    def _begin(self, call: WatchedCall, span: ExitStack) -> None:
        if self._config.log_requests:
            logger.log(self._log_level, "%s began: %s", call.operation, _text(call.asked))
        if self._tracer is not None:
            _begin_span(self._tracer, call, span)

    def _end(self, call: WatchedCall) -> None:
        if self._config.log_responses:
            logger.log(self._log_level, "%s %s after %.1f ms", call.operation, _outcome(call), call.seconds * 1000)
        failed = bool(call.failure)
        if call.operation == "search":
            self._searches.record(response_time_ms=call.seconds * 1000, failed=failed)
            self._record("search_seconds", call.seconds)
            self._record("search_failures", failed)
            self._record("search_embeddings", _number(call.asked.get("embeddings")))
            self._record("search_matches", call.matches)
        else:
            self._record("write_seconds", call.seconds)
            self._record("write_failures", failed)
        if call.operation == "upsert":
            self._record("write_faces", _number(call.asked.get("faces")))

    def _record(self, name: MetricName, value: float) -> None:
        if name.startswith(("cache_faces", "cache_matches")):
            self._searches.record_lookup(hit=name.endswith("_hits"))
        metric = self._metrics.get(name)
        if isinstance(metric, Histogram):
            metric.observe(value)
        elif metric is not None:
            metric.inc(value)

    def _metric(self, name: MetricName) -> Counter | Histogram:
        text = f"See MetricName {name!r} in worker/vector_search/monitoring.py."
        if name.endswith("_seconds"):
            return Histogram(METRIC_PREFIX + name, text, registry=self.registry, buckets=BUCKETS_SECONDS)
        return Counter(METRIC_PREFIX + name, text, registry=self.registry)


class MonitoredVectorStore(WrappedVectorStore):
    """A VectorStore whose searches and writes a MetricsCollector watches."""

    def __init__(self, inner: VectorStore, collector: MetricsCollector) -> None:
        super().__init__(inner)
        self._collector = collector

    def search(self, query: SearchQuery) -> list[list[Match]]:
        def asked() -> Mapping[str, object]:
            return {
                "gallery": ",".join(map(str, query.gallery_ids)),  # a long list is cut off
                "galleries": len(query.gallery_ids),
                "embeddings": len(query.embeddings),
                "limit": query.limit,
                "min_similarity": query.min_similarity,
            }

        with self._collector.watch("search", asked) as call:
            found = self._inner.search(query)
            call.matches = sum(map(len, found))
            return found

    def drop(self) -> None:
        with self._collector.watch("drop", dict):
            self._inner.drop()

    def upsert(self, records: Sequence[FaceRecord], *, wait_until_found: bool = True) -> None:
        with self._collector.watch("upsert", lambda: {"faces": len(records)}):
            self._inner.upsert(records, wait_until_found=wait_until_found)

    def delete_faces(self, *, gallery_id: str, face_ids: Collection[str]) -> None:
        with self._collector.watch("delete_faces", lambda: {"gallery": gallery_id, "faces": len(face_ids)}):
            self._inner.delete_faces(gallery_id=gallery_id, face_ids=face_ids)

    def delete_photos(self, *, gallery_id: str, photo_ids: Collection[str]) -> None:
        with self._collector.watch("delete_photos", lambda: {"gallery": gallery_id, "photos": len(photo_ids)}):
            self._inner.delete_photos(gallery_id=gallery_id, photo_ids=photo_ids)

    def delete_stale_faces(self, *, gallery_id: str, kept: Mapping[str, Collection[str]]) -> None:
        with self._collector.watch("delete_stale_faces", lambda: {"gallery": gallery_id, "photos": len(kept)}):
            self._inner.delete_stale_faces(gallery_id=gallery_id, kept=kept)


# -- helpers ----------------------------------------------------------------------------------------------------


def _tracer() -> Any:
    try:
        from opentelemetry import trace  # only in the extra `tracing`
    except ImportError as error:
        raise ConfigError(
            "ENABLE_TRACING is True; it must be False unless the extra `tracing` is installed: "
            "pip install 'facequeue[tracing]'."
        ) from error
    return trace.get_tracer("facequeue")


def _begin_span(tracer: Any, call: WatchedCall, spans: ExitStack) -> None:
    span = spans.enter_context(
        tracer.start_as_current_span(
            f"vector_search.{call.operation}",
            attributes={f"facequeue.{name}": _plain(value) for name, value in call.asked.items()},
            # The message of an error belongs in the log; the span gets only its code.
            record_exception=False,
            set_status_on_exception=False,
        )
    )
    spans.callback(_end_span, span, call)


def _end_span(span: Any, call: WatchedCall) -> None:
    from opentelemetry.trace import StatusCode

    span.set_attribute("facequeue.matches", call.matches)
    if call.failure:
        span.set_attribute("facequeue.error", call.failure)
        span.set_status(StatusCode.ERROR)


def _outcome(call: WatchedCall) -> str:
    if call.failure:
        return f"failed with {call.failure}"
    return f"answered: matches={call.matches}" if call.operation == "search" else "done"


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def _plain(value: object) -> str | int | float:
    """Return a number as it is and anything else as a short text: ids come from outside and are not checked yet."""
    return value if isinstance(value, int | float) else ascii(value)[:80]


def _text(asked: Mapping[str, object]) -> str:
    return " ".join(f"{name}={_plain(value)}" for name, value in asked.items())

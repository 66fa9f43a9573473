"""What is told about the vector search: right numbers, no personal data, and never a failed search because of it."""

import logging
import re
import sys
import threading
import types
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.worker.vector_search.cached import DIMENSION, FINGERPRINT, WatchedStore, face, unit
from worker.errors import ConfigError
from worker.vector_search.config import MonitoringConfig
from worker.vector_search.exceptions import InvalidEmbedding, StoreTimeout
from worker.vector_search.interfaces import SearchQuery
from worker.vector_search.monitoring import (
    METRIC_PREFIX,
    MetricName,
    MetricsCollector,
    MonitoredVectorStore,
    NullRecorder,
)

GALLERY = "11111111-0000-0000-0000-000000000000"
LOGGER = "worker.vector_search.monitoring"
QUERY = SearchQuery(gallery_ids=(GALLERY,), embeddings=np.stack([unit(0.123456, 0.654321), unit(1)]))


def watched(collector: MetricsCollector) -> tuple[MonitoredVectorStore, WatchedStore]:
    inner = WatchedStore(name="faces", dimension=DIMENSION, fingerprint=FINGERPRINT)
    store = MonitoredVectorStore(inner, collector)
    store.open()
    return store, inner


def numbers(collector: MetricsCollector) -> dict[str, float]:
    """Return what a scrape shows, without the buckets."""
    families = text_string_to_metric_families(collector.exposition().decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        sample.name.removeprefix(METRIC_PREFIX): sample.value
        for sample in samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def time_out() -> None:
    raise StoreTimeout("The vector store did not answer in time.")


class TestMetrics:
    def test_searches_and_writes_are_counted_and_timed(self) -> None:
        collector = MetricsCollector(MonitoringConfig())
        store, inner = watched(collector)
        store.upsert([face(1, GALLERY), face(2, GALLERY)])
        store.search(QUERY)
        store.search(replace(QUERY, limit=1))
        inner.before = time_out  # type: ignore[method-assign]
        with pytest.raises(StoreTimeout):
            store.search(QUERY)
        inner.before = lambda: None  # type: ignore[method-assign]
        store.delete_faces(gallery_id=GALLERY, face_ids=[])
        store.delete_photos(gallery_id=GALLERY, photo_ids=[])
        store.delete_stale_faces(gallery_id=GALLERY, kept={})
        with pytest.raises(InvalidEmbedding):
            store.upsert([replace(face(3, GALLERY), embedding=unit(1) * 2)])

        shown = numbers(collector)

        assert shown["search_seconds_count"] == 3
        assert shown["search_failures_total"] == 1
        assert shown["search_embeddings_total"] == 6
        assert shown["search_matches_total"] == 4 + 2
        assert shown["write_seconds_count"] == 5
        assert shown["write_failures_total"] == 1
        assert shown["write_faces_total"] == 3
        assert 0 < shown["search_seconds_sum"] < 10

    def test_a_scrape_shows_the_names_of_the_closed_list_and_no_other(self) -> None:
        shown = numbers(MetricsCollector(MonitoringConfig()))

        names = {re.sub("_(total|count|sum)$", "", name) for name in shown}
        assert names == set(get_args(MetricName))

    def test_an_unknown_name_is_no_metric(self, caplog: pytest.LogCaptureFixture) -> None:
        collector = MetricsCollector(MonitoringConfig())
        before = numbers(collector)

        collector.record("serach_seconds")  # type: ignore[arg-type]

        assert numbers(collector) == before

    def test_the_summary_says_what_happened(self) -> None:
        collector = MetricsCollector(MonitoringConfig())
        store, inner = watched(collector)
        for _ in range(3):
            store.search(QUERY)
        inner.before = time_out  # type: ignore[method-assign]
        with pytest.raises(StoreTimeout):
            store.search(QUERY)
        for name in ("cache_faces_hits", "cache_matches_hits", "cache_matches_hits", "cache_matches_misses"):
            collector.record(name)  # type: ignore[arg-type]
        collector.record("cache_failures")

        summary = collector.summary()

        assert summary is not None
        assert (summary.total_searches, summary.failed_searches, summary.error_rate_percent) == (4, 1, 25.0)
        assert 0 < summary.avg_response_time_ms < 1000
        assert 0 < summary.p50_response_time_ms <= summary.p95_response_time_ms <= summary.p99_response_time_ms
        assert summary.cache_hit_rate_percent == 75.0

    def test_threads_lose_no_count(self) -> None:
        collector = MetricsCollector(MonitoringConfig())
        store, _ = watched(collector)
        threads = [threading.Thread(target=lambda: [store.search(QUERY) for _ in range(50)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert numbers(collector)["search_seconds_count"] == 200
        assert collector.summary().total_searches == 200  # type: ignore[union-attr]

    def test_switched_off_there_are_none(self) -> None:
        collector = MetricsCollector(MonitoringConfig(enable_metrics=False))
        store, _ = watched(collector)
        store.search(QUERY)
        collector.log_summary_when_due()

        assert collector.exposition() == b""
        assert collector.summary() is None

    def test_the_default_recorder_records_nothing(self) -> None:
        assert NullRecorder().record("search_seconds", 1.0) is None  # type: ignore[func-returns-value]

    def test_the_reads_that_are_not_watched_go_to_the_store(self) -> None:
        store, inner = watched(MetricsCollector(MonitoringConfig()))
        store.upsert([face(1, GALLERY)])

        assert store.count() == 1
        assert store.exact_search(QUERY) == inner.exact_search(QUERY)
        store.close()
        assert not inner.health().is_healthy


class TestSummaryInTheLog:
    def test_it_is_logged_every_interval_in_which_there_was_a_search(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = [1000.0]
        monkeypatch.setattr("worker.vector_search.monitoring.time.monotonic", lambda: clock[0])
        caplog.set_level(logging.INFO, LOGGER)
        collector = MetricsCollector(MonitoringConfig(metrics_interval_seconds=60))
        store, _ = watched(collector)

        def lines_after(seconds: float) -> int:
            clock[0] += seconds
            collector.log_summary_when_due()
            return len(caplog.messages)

        store.search(QUERY)
        assert lines_after(59) == 0
        assert lines_after(1) == 1
        assert caplog.messages[0].startswith("1 searches, 0.0 % failed")
        assert caplog.messages[0].endswith("no cache")
        assert lines_after(61) == 1  # nothing new
        store.search(QUERY)
        collector.record("cache_matches_hits")
        assert lines_after(0) == 1
        assert lines_after(61) == 2
        assert caplog.messages[1].endswith("cache hit rate 100.0 %")


class TestRequestLog:
    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            pytest.param({}, [], id="neither"),
            pytest.param({"log_requests": True}, ["search began"], id="requests"),
            pytest.param({"log_responses": True}, ["search answered"], id="responses"),
            pytest.param({"log_requests": True, "log_responses": True}, ["search began", "search answered"], id="both"),
        ],
    )
    @pytest.mark.parametrize("level", ["DEBUG", "WARNING"])
    def test_each_has_its_setting_and_both_have_the_level(
        self, caplog: pytest.LogCaptureFixture, config: dict[str, Any], expected: list[str], level: str
    ) -> None:
        caplog.set_level(logging.DEBUG, LOGGER)
        store, _ = watched(MetricsCollector(MonitoringConfig(log_level=level, **config)))

        store.search(QUERY)

        assert [" ".join(line.split()[:2]).rstrip(":") for line in caplog.messages] == expected
        assert {record.levelname for record in caplog.records} <= {level}

    def test_the_lines_say_what_was_asked_and_what_came(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, LOGGER)
        store, inner = watched(MetricsCollector(MonitoringConfig(log_requests=True, log_responses=True)))
        store.upsert([face(1, GALLERY)])
        store.search(replace(QUERY, limit=7, min_similarity=0.25))
        inner.before = time_out  # type: ignore[method-assign]
        with pytest.raises(StoreTimeout):
            store.search(QUERY)

        assert re.fullmatch(r"upsert done after \d+\.\d ms", caplog.messages[1])
        asked = f"search began: gallery='{GALLERY}' galleries=1 embeddings=2 limit=7 min_similarity=0.25"
        assert caplog.messages[0] == "upsert began: faces=1"
        assert caplog.messages[2] == asked
        assert re.fullmatch(r"search answered: matches=2 after \d+\.\d ms", caplog.messages[3])
        assert re.fullmatch(r"search failed with store_timeout after \d+\.\d ms", caplog.messages[5])

    def test_no_embedding_no_image_and_no_similarity_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(0)
        store, inner = watched(MetricsCollector(MonitoringConfig(log_requests=True, log_responses=True)))
        secret = unit(0.3712345, 0.9234567, 0.1598765)
        record = replace(face(1, GALLERY), embedding=secret)
        query = replace(QUERY, embeddings=secret[np.newaxis])
        store.upsert([record])
        [[hit]] = store.search(query)
        inner.after = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        with pytest.raises(ZeroDivisionError):
            store.search(query)
        for broken in (secret, "text", None, np.array(1.0)):
            with pytest.raises(Exception):  # noqa: B017, PT011
                store.search(replace(query, embeddings=broken))  # type: ignore[arg-type]
            with pytest.raises(Exception):  # noqa: B017, PT011
                store.upsert([replace(record, embedding=np.atleast_1d(broken)[:3])])  # type: ignore[arg-type]
        store.delete_faces(gallery_id=GALLERY, face_ids=[record.face_id])

        log = caplog.text
        assert log.count("\n") >= 10
        for value in [*secret.tolist(), hit.similarity]:
            assert f"{value:.4f}"[:6] not in log
        assert not re.search(r"array|\[|dtype|ndarray|\\x", log.replace("[caplog]", ""))
        # What numbers there are: counts, limits, thresholds and milliseconds.
        without_ids = re.sub(r"'[0-9a-f-]{36}'|monitoring\.py:\d+", "", log)
        assert all(len(number) < 8 for number in re.findall(r"\d+\.\d+", without_ids))

    def test_an_id_that_is_none_is_shortened_and_made_harmless(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, LOGGER)
        store, _ = watched(MetricsCollector(MonitoringConfig(log_requests=True)))
        with pytest.raises(Exception):  # noqa: B017, PT011
            store.search(replace(QUERY, gallery_ids=("\n2026 ERROR forged\x1b" + "x" * 1000,)))

        assert "\n" not in caplog.messages[0]
        assert len(caplog.messages[0]) < 200


class TestAFailingHook:
    def test_is_logged_and_never_fatal(self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        collector = MetricsCollector(MonitoringConfig(log_requests=True))
        store, _ = watched(collector)

        def fail(*_: object) -> None:
            raise RuntimeError(f"a value: {QUERY.embeddings[0]}")

        monkeypatch.setattr(collector, "_begin", fail)
        monkeypatch.setattr(collector, "_record", fail)

        store.upsert([face(1, GALLERY)])
        assert len(store.search(QUERY)[0]) == 1
        collector.record("cache_failures")

        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 5
        assert "Monitoring failed in " in errors[0].message
        assert "RuntimeError" in errors[0].message
        assert "0.98" not in caplog.text  # not even what the hook's own error says
        assert "Traceback" not in caplog.text

    def test_a_query_that_cannot_be_described_is_still_the_stores_to_refuse(self) -> None:
        collector = MetricsCollector(MonitoringConfig())
        store, _ = watched(collector)

        with pytest.raises(Exception, match="embeddings of 4 values"):
            store.search(replace(QUERY, embeddings=None))  # type: ignore[arg-type]

        assert numbers(collector)["search_failures_total"] == 1

    def test_an_error_of_another_kind_is_counted_as_internal(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, LOGGER)
        store, inner = watched(MetricsCollector(MonitoringConfig(log_responses=True)))
        inner.before = lambda: sys.exit(1)  # type: ignore[method-assign]

        with pytest.raises(SystemExit):
            store.search(QUERY)

        assert caplog.messages[-1].startswith("search failed with internal")


class TestTracing:
    @pytest.fixture
    def spans(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        """Finished spans of a tracer that belongs to this test alone."""
        trace = pytest.importorskip("opentelemetry.trace")
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        provider, exporter = TracerProvider(), InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
        yield exporter
        provider.shutdown()

    def test_each_call_is_a_span_with_ids_and_numbers_only(self, spans: Any) -> None:
        store, _ = watched(MetricsCollector(MonitoringConfig(enable_tracing=True)))
        store.upsert([face(1, GALLERY)])
        store.search(QUERY)

        upsert, search = spans.get_finished_spans()
        assert (upsert.name, search.name) == ("vector_search.upsert", "vector_search.search")
        assert dict(search.attributes) == {
            "facequeue.gallery": f"'{GALLERY}'",
            "facequeue.galleries": 1,
            "facequeue.embeddings": 2,
            "facequeue.limit": 10,
            "facequeue.min_similarity": -1.0,
            "facequeue.matches": 2,
        }
        assert search.status.is_unset
        assert search.events == ()

    def test_what_the_store_does_meanwhile_is_part_of_its_span(self, spans: Any) -> None:
        from opentelemetry import trace

        store, inner = watched(MetricsCollector(MonitoringConfig(enable_tracing=True)))
        during: list[Any] = []
        inner.before = lambda: during.append(trace.get_current_span())  # type: ignore[method-assign]

        store.search(QUERY)

        [search] = spans.get_finished_spans()
        assert during[0].get_span_context() == search.context
        assert trace.get_current_span().get_span_context() != search.context

    def test_an_error_gives_its_code_and_not_its_text(self, spans: Any) -> None:
        store, inner = watched(MetricsCollector(MonitoringConfig(enable_tracing=True)))
        inner.before = time_out  # type: ignore[method-assign]

        with pytest.raises(StoreTimeout):
            store.search(QUERY)

        [search] = spans.get_finished_spans()
        assert search.attributes["facequeue.error"] == "store_timeout"
        assert not search.status.is_ok
        assert not search.status.is_unset
        assert search.events == ()

    def test_switched_off_there_are_no_spans(self, spans: Any) -> None:
        store, _ = watched(MetricsCollector(MonitoringConfig()))
        store.search(QUERY)

        assert spans.get_finished_spans() == ()

    def test_without_the_package_the_start_is_refused_and_the_extra_is_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "opentelemetry", None)

        with pytest.raises(ConfigError, match=r"ENABLE_TRACING.*facequeue\[tracing\]"):
            MetricsCollector(MonitoringConfig(enable_tracing=True))
        MetricsCollector(MonitoringConfig())  # and is not needed otherwise

    def test_a_failing_tracer_is_no_failing_search(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        broken = types.SimpleNamespace(trace=types.SimpleNamespace(get_tracer=lambda _: object()))
        monkeypatch.setitem(sys.modules, "opentelemetry", broken)  # type: ignore[arg-type]
        store, _ = watched(MetricsCollector(MonitoringConfig(enable_tracing=True)))

        assert store.search(QUERY) == [[], []]
        assert "Monitoring failed" in caplog.text

"""The summary says what happened, from the first search on."""

import pytest

from worker.metrics import SearchMetrics


def test_before_the_first_search_everything_is_zero():
    summary = SearchMetrics().summary()
    assert (summary.total_searches, summary.error_rate_percent, summary.p99_response_time_ms) == (0, 0.0, 0.0)


def test_one_search_is_its_own_percentile():
    metrics = SearchMetrics()
    metrics.record(response_time_ms=12.0, failed=False)
    summary = metrics.summary()
    assert (summary.avg_response_time_ms, summary.p50_response_time_ms, summary.p99_response_time_ms) == (12, 12, 12)


def test_failures_are_a_share_of_all_searches():
    metrics = SearchMetrics()
    for number in range(100):
        metrics.record(response_time_ms=float(number), failed=number < 25)
    summary = metrics.summary()
    assert summary.total_searches == 100
    assert summary.failed_searches == 25
    assert summary.error_rate_percent == pytest.approx(25.0)
    assert summary.p50_response_time_ms == pytest.approx(49.5, abs=1)
    assert summary.p95_response_time_ms == pytest.approx(94.5, abs=1)


def test_the_hit_rate_is_unknown_until_somebody_has_looked_into_the_cache():
    metrics = SearchMetrics()
    assert metrics.summary().cache_hit_rate_percent is None
    for hit in (True, False, False, False):
        metrics.record_lookup(hit=hit)
    assert metrics.summary().cache_hit_rate_percent == 25.0

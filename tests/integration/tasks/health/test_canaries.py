"""Canaries: what they leave behind in redis-cache, and that two do no harm."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tasks import clock
from tasks.health.canaries import CanaryLog, CanaryReport, canary_key
from tests.redis_server import redis_server

pytestmark = pytest.mark.services


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[redis.Redis]:
    with redis_server(tmp_path) as (url, _process), redis.Redis.from_url(url) as client:
        yield client


def test_of_two_beats_canaries_one_runs(cache: redis.Redis, settings: Any) -> None:
    settings.CANARY_INTERVAL_SECONDS = 60.0
    log = CanaryLog(cache)
    assert log.claim("records")
    assert not log.claim("records")
    assert log.claim("index.dlib")
    assert 0 < cache.pttl(f"{canary_key('records')}:claimed") <= 30_000


def test_a_success_is_written_down_for_a_day(cache: redis.Redis) -> None:
    CanaryLog(cache).passed("records", SimpleNamespace(sent_at=clock.now() - 2))
    report = CanaryReport.model_validate_json(cache.get(canary_key("records")))  # type: ignore[arg-type]
    assert report.queue == "records"
    assert 2 <= report.seconds < 60
    assert report.age_seconds < 60
    assert 80_000 < cache.ttl(canary_key("records")) <= 86_400

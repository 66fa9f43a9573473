"""Clock reports of the web and of beat: published while they run, and gone afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from tasks.clock import clock
from tasks.health.clocks import KEPT_SECONDS, KEY_PREFIX, ClockReport, clock_reports, published
from tests.redis_server import redis_server
from tests.waiting import eventually

pytestmark = pytest.mark.services


@pytest.fixture
def url(tmp_path: Path, settings: Any) -> Iterator[str]:
    with redis_server(tmp_path) as (url, _process):
        settings.REDIS_URL = settings.REDIS_CACHE_URL = url
        yield url


async def reports(url: str) -> tuple[ClockReport, ...]:
    async with redis.asyncio.Redis.from_url(url) as cache:
        return await published(cache)


async def test_a_process_reports_its_clock_until_it_ends(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_wall", lambda: 0.0)  # half a century behind
    with redis.Redis.from_url(url) as cache, clock_reports("web"):
        eventually(lambda: cache.keys(KEY_PREFIX + "*"), "the clock is reported")
        [report] = await reports(url)
        assert report.process.startswith("web-")
        assert report.is_wrong
        assert report.offset_seconds == pytest.approx(-clock.now(), abs=5)
        [key] = cache.keys(KEY_PREFIX + "*")
        assert 0 < cache.ttl(key) <= KEPT_SECONDS
    assert await reports(url) == ()


async def test_no_redis_stops_no_process(settings: Any) -> None:
    settings.REDIS_URL = settings.REDIS_CACHE_URL = "redis://127.0.0.1:1/0"
    with clock_reports("beat"):
        pass

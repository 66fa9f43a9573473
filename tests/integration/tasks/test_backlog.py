"""The bound of the search queue, against a real Redis."""

import asyncio

import pytest
import redis.asyncio

from tasks import backlog
from tasks.backlog import Backlog
from tasks.errors import QueueUnavailable
from tests.redis_server import redis_server
from tests.servers import free_port
from worker.errors import Busy

pytestmark = pytest.mark.services

QUEUE = "search.starter"


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@pytest.fixture
async def broker(redis_url):
    client = redis.asyncio.Redis.from_url(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


async def test_a_queue_at_its_bound_takes_no_more(broker):
    await broker.lpush(QUEUE, "1", "2")
    with pytest.raises(Busy):
        await Backlog(broker, QUEUE, bound=2).admit()
    await Backlog(broker, QUEUE, bound=3).admit()


async def test_a_burst_asks_once_and_is_counted_itself(broker):
    await broker.config_resetstat()
    admitted = Backlog(broker, QUEUE, bound=5)
    answers = await asyncio.gather(*[admitted.admit() for _ in range(20)], return_exceptions=True)
    assert [answer for answer in answers if answer is None] == [None] * 5
    assert {type(answer) for answer in answers[5:]} == {Busy}
    assert (await broker.info("commandstats"))["cmdstat_llen"]["calls"] == 1


async def test_a_queue_that_was_worked_off_takes_searches_again(broker, monkeypatch):
    monkeypatch.setattr(backlog, "FRESH_SECONDS", 0.0)
    await broker.lpush(QUEUE, "1")
    bounded = Backlog(broker, QUEUE, bound=1)
    with pytest.raises(Busy):
        await bounded.admit()
    await broker.delete(QUEUE)
    await bounded.admit()


async def test_a_redis_that_is_down_is_said_to_everybody_who_waits():
    broker = redis.asyncio.Redis(port=free_port())
    down = Backlog(broker, QUEUE, bound=5)
    answers = await asyncio.gather(*[down.admit() for _ in range(3)], return_exceptions=True)
    assert {type(answer) for answer in answers} == {QueueUnavailable}
    await broker.aclose()

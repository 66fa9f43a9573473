"""The bound of the search queue, against a real Redis."""

import asyncio

import pytest
import redis.asyncio

from tasks.errors import QueueUnavailable
from tasks.web import backlog
from tasks.web.backlog import Backlog
from tests.redis_server import redis_server
from tests.servers import free_port
from worker.errors import Busy

pytestmark = pytest.mark.services

QUEUE = "search.dlib"


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
        await Backlog(broker, QUEUE, bound=2).check_room()
    await Backlog(broker, QUEUE, bound=3).check_room()


async def take(backlog, until):
    async with backlog.place():
        await until.wait()


async def test_a_burst_asks_once_and_is_counted_itself(broker):
    await broker.config_resetstat()
    full, over = Backlog(broker, QUEUE, bound=5), asyncio.Event()
    searches = [asyncio.create_task(take(full, over)) for _ in range(20)]
    refused, coming = await asyncio.wait(searches, timeout=0.1)
    over.set()
    await asyncio.gather(*coming)
    assert {type(search.exception()) for search in refused} == {Busy}
    assert (len(coming), len(refused)) == (5, 15)
    assert (await broker.info("commandstats"))["cmdstat_llen"]["calls"] == 1


async def test_a_search_on_its_way_counts_until_it_is_sent_or_given_up(broker, monkeypatch):
    monkeypatch.setattr(backlog, "FRESH_SECONDS", 0.0)
    bounded = Backlog(broker, QUEUE, bound=1)
    async with bounded.place() as place:
        with pytest.raises(Busy):  # Redis has never heard of it
            await bounded.check_room()
        place.sent()
        await bounded.check_room()  # Redis is asked, and a worker has taken it already
        async with bounded.place() as second:
            assert second is not place
    await bounded.check_room()


async def test_what_was_just_sent_counts_before_redis_is_asked_again(broker, monkeypatch):
    monkeypatch.setattr(backlog, "FRESH_SECONDS", 60.0)
    bounded = Backlog(broker, QUEUE, bound=1)
    async with bounded.place() as place:
        place.sent()
    with pytest.raises(Busy):
        await bounded.check_room()


async def test_a_request_has_one_place_however_often_it_asks(broker):
    bounded = Backlog(broker, QUEUE, bound=1)
    async with bounded.place() as at_the_door, bounded.place() as inside:
        assert inside is at_the_door


async def test_a_queue_that_was_worked_off_takes_searches_again(broker, monkeypatch):
    monkeypatch.setattr(backlog, "FRESH_SECONDS", 0.0)
    await broker.lpush(QUEUE, "1")
    bounded = Backlog(broker, QUEUE, bound=1)
    with pytest.raises(Busy):
        await bounded.check_room()
    await broker.delete(QUEUE)
    await bounded.check_room()


async def test_a_redis_that_is_down_is_said_to_everybody_who_waits():
    broker = redis.asyncio.Redis(port=free_port())
    down = Backlog(broker, QUEUE, bound=5)
    answers = await asyncio.gather(*[down.check_room() for _ in range(3)], return_exceptions=True)
    assert {type(answer) for answer in answers} == {QueueUnavailable}
    await broker.aclose()

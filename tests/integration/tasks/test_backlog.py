"""The room for searches, against a real Redis: what processes tell each other, and when a search stops counting."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

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
ALICE, BOB = "user:1", "user:2"


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def processes(server: redis.asyncio.Redis) -> AsyncIterator[Any]:
    """Returns the backlog of a new web process."""
    made: list[Backlog] = []

    def make(*, most: int, timeout_seconds: float = 30.0) -> Backlog:
        made.append(Backlog(server, server, QUEUE, most=most, timeout_seconds=timeout_seconds))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def has_room(process: Backlog, client: str) -> bool:
    try:
        await process.check_room(client)
    except Busy:
        return False
    return True


async def until_room(process: Backlog, client: str, *, is_there: bool = True) -> None:
    async with asyncio.timeout(30):
        while await has_room(process, client) is not is_there:
            await asyncio.sleep(0.02)


async def start(process: Backlog, search_id: str, *, by: str = ALICE, timeout_seconds: float = 30.0) -> None:
    async with process.place(by) as place:
        place.give_to(search_id, timeout_seconds=timeout_seconds)


async def test_a_queue_at_its_bound_takes_no_more(server: redis.asyncio.Redis, processes: Any) -> None:
    await server.lpush(QUEUE, '{"headers": {}}', '{"headers": {}}')
    assert not await has_room(processes(most=2), ALICE)
    assert await has_room(processes(most=3), ALICE)


async def test_a_burst_asks_once_and_is_counted_itself(server: redis.asyncio.Redis, processes: Any) -> None:
    await server.config_resetstat()
    full, over = processes(most=5), asyncio.Event()

    async def take(number: int) -> None:
        async with full.place(f"user:{number}"):
            await over.wait()

    searches = [asyncio.create_task(take(number)) for number in range(20)]
    refused, coming = await asyncio.wait(searches, timeout=0.1)
    assert (await server.info("commandstats"))["cmdstat_llen"]["calls"] == 1
    over.set()
    await asyncio.gather(*coming)
    assert {type(search.exception()) for search in refused} == {Busy}
    assert (len(coming), len(refused)) == (5, 15)


async def test_a_place_counts_until_it_is_given_back(processes: Any) -> None:
    process = processes(most=1)
    async with process.place(ALICE):
        assert not await has_room(process, BOB)
    assert await has_room(process, BOB)


async def test_a_search_counts_after_its_request_until_it_is_answered(processes: Any) -> None:
    process = processes(most=1)
    await start(process, "search")
    assert not await has_room(process, BOB)
    process.answered("search")
    process.answered("search")
    await until_room(process, BOB)


async def test_a_search_that_nobody_answers_stops_counting_at_its_deadline(
    processes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "GRACE_SECONDS", 0.0)
    process = processes(most=1)
    await start(process, "search", timeout_seconds=0.05)
    await until_room(process, BOB)
    assert process.unanswered == []


async def test_a_request_has_one_place_however_often_it_asks(processes: Any) -> None:
    process = processes(most=1)
    async with process.place(ALICE) as at_the_door, process.place(ALICE) as inside:
        assert inside is at_the_door


async def test_processes_know_what_the_others_have_in_flight(processes: Any) -> None:
    one, other = processes(most=4), processes(most=4)
    await start(one, "first")
    await start(one, "second")
    await until_room(other, ALICE, is_there=False)
    assert await has_room(other, BOB)
    one.answered("first")
    one.answered("second")
    await until_room(other, ALICE)


async def test_what_a_dead_process_had_in_flight_is_forgotten(processes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = processes(most=2), processes(most=2)
    await start(one, "first")
    await until_room(other, ALICE, is_there=False)
    monkeypatch.setattr(backlog, "SILENT_SECONDS", 0.5)
    one._watching.cancel()  # it dies
    await until_room(other, ALICE)


async def test_a_process_that_stops_takes_back_what_it_has_told(
    processes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "SILENT_SECONDS", 1000.0)
    one, other = processes(most=2), processes(most=2)
    await start(one, "first")
    await until_room(other, ALICE, is_there=False)
    await one.close()
    await until_room(other, ALICE)


async def test_an_expired_search_is_no_sign_that_workers_answer(processes: Any) -> None:
    process = processes(most=4)
    await start(process, "expired")
    process.answered("expired", by_worker=False)
    assert process.room.rate._answers == 0
    assert process.unanswered == []


async def test_a_redis_that_is_down_is_said_to_everybody_who_waits() -> None:
    broker = redis.asyncio.Redis(port=free_port())
    down = Backlog(broker, broker, QUEUE, most=5, timeout_seconds=30)
    answers = await asyncio.gather(*[down.check_room(ALICE) for _ in range(3)], return_exceptions=True)
    assert {type(answer) for answer in answers} == {QueueUnavailable}
    await broker.aclose()

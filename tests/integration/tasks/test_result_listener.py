"""ResultListener against a real Redis: who waits is woken, whatever the connection does meanwhile."""

import asyncio
import json
import uuid

import pytest
import redis

from tasks.errors import QueueUnavailable
from tasks.web.results import KEY_PREFIX, ResultListener
from tests.redis_server import redis_server, start_redis
from tests.servers import free_port, stop

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@pytest.fixture
async def listener(redis_url):
    # Without the safety net: what wakes a waiter here is the subscription.
    listener = ResultListener(redis_url, poll_interval_seconds=3600)
    await listener.open()
    yield listener
    await listener.close()


def finish(
    redis_url: str, task_id: str, *, status: str = "SUCCESS", result: object = None, publish: bool = True
) -> None:
    """Store and publish a result the way Celery's Redis backend does."""
    value = json.dumps({"status": status, "result": result, "task_id": task_id})
    with redis.Redis.from_url(redis_url).pipeline() as pipe:
        pipe.set(KEY_PREFIX + task_id, value, ex=60)
        if publish:
            pipe.publish(KEY_PREFIX + task_id, value)
        pipe.execute()


async def test_a_waiter_is_woken_by_the_subscription(listener, redis_url):
    task_id = str(uuid.uuid4())
    waiting = asyncio.create_task(listener.wait(task_id, timeout_seconds=20))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(finish, redis_url, task_id, result={"n": 1})
    meta = await waiting
    assert meta is not None
    assert meta["result"] == {"n": 1}


async def test_a_waiter_is_woken_by_the_poll_when_the_message_got_lost(redis_url):
    listener = ResultListener(redis_url, poll_interval_seconds=0.2)
    await listener.open()
    task_id = str(uuid.uuid4())
    waiting = asyncio.create_task(listener.wait(task_id, timeout_seconds=20))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(finish, redis_url, task_id, result="polled", publish=False)
    meta = await waiting
    await listener.close()
    assert meta is not None
    assert meta["result"] == "polled"


async def test_a_result_that_came_before_the_wait_is_found(listener, redis_url):
    task_id = str(uuid.uuid4())
    finish(redis_url, task_id, result=7)
    meta = await listener.wait(task_id, timeout_seconds=5)
    assert meta is not None
    assert meta["result"] == 7


async def test_an_intermediate_state_wakes_nobody(listener, redis_url):
    task_id = str(uuid.uuid4())
    finish(redis_url, task_id, status="STARTED")
    assert await listener.wait(task_id, timeout_seconds=0.3) is None


async def test_nothing_is_left_behind_by_a_wait_that_timed_out(listener):
    assert await listener.wait(str(uuid.uuid4()), timeout_seconds=0.05) is None
    assert listener.waiting == 0


async def test_nothing_is_left_behind_by_a_wait_that_was_cancelled(listener):
    waiting = asyncio.create_task(listener.wait(str(uuid.uuid4()), timeout_seconds=20))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert listener.waiting == 0


async def test_two_waiters_for_one_result_both_get_it(listener, redis_url):
    task_id = str(uuid.uuid4())
    waits = [asyncio.create_task(listener.wait(task_id, timeout_seconds=20)) for _ in range(2)]
    await asyncio.sleep(0.2)
    await asyncio.to_thread(finish, redis_url, task_id, result="both")
    metas = await asyncio.gather(*waits)
    assert [meta["result"] for meta in metas if meta] == ["both", "both"]


async def test_many_waiters_share_a_handful_of_connections(listener, redis_url):
    client = redis.Redis.from_url(redis_url)
    before = client.info("clients")["connected_clients"]
    ids = [str(uuid.uuid4()) for _ in range(200)]
    waits = [asyncio.create_task(listener.wait(task_id, timeout_seconds=20)) for task_id in ids]
    await asyncio.sleep(0.5)
    assert listener.waiting == 200
    assert client.info("clients")["connected_clients"] - before <= 2
    assert client.pubsub_numpat() == 1
    for task_id in ids:
        finish(redis_url, task_id, result=task_id)
    metas = await asyncio.gather(*waits)
    assert [meta["result"] for meta in metas if meta] == ids


async def test_close_lets_every_waiter_go(redis_url):
    listener = ResultListener(redis_url)
    await listener.open()
    waiting = asyncio.create_task(listener.wait(str(uuid.uuid4()), timeout_seconds=20))
    await asyncio.sleep(0.1)
    await listener.close()
    assert await waiting is None


async def test_a_result_that_comes_after_redis_restarted_still_wakes_its_waiter(tmp_path):
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    process = start_redis(tmp_path, port)
    listener = ResultListener(url)
    await listener.open()
    try:
        task_id = str(uuid.uuid4())
        waiting = asyncio.create_task(listener.wait(task_id, timeout_seconds=30))
        await asyncio.sleep(0.3)
        process.kill()
        process.wait()
        process = await asyncio.to_thread(start_redis, tmp_path, port)
        await asyncio.to_thread(finish, url, task_id, result="after")
        meta = await waiting
        assert meta is not None
        assert meta["result"] == "after"
    finally:
        await listener.close()
        stop(process)


async def test_without_redis_a_wait_says_so(tmp_path):
    listener = ResultListener(f"redis://127.0.0.1:{free_port()}/0")
    await listener.open()
    try:
        with pytest.raises(QueueUnavailable):
            await listener.wait(str(uuid.uuid4()), timeout_seconds=5)
    finally:
        await listener.close()


async def test_each_published_result_is_told_once_whoever_waits_for_it(redis_url):
    published, stored = asyncio.Queue(), []
    listener = ResultListener(
        redis_url, on_published=published.put_nowait, on_stored=stored.append, poll_interval_seconds=3600
    )
    await listener.open()
    try:
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(redis.Redis.from_url(redis_url).pubsub_numpat):
                await asyncio.sleep(0.02)
            nobody_waits = str(uuid.uuid4())
            await asyncio.to_thread(finish, redis_url, str(uuid.uuid4()), status="STARTED")
            await asyncio.to_thread(finish, redis_url, nobody_waits)
            assert (await published.get())["task_id"] == nobody_waits
        assert (await listener.wait(nobody_waits, timeout_seconds=5))["task_id"] == nobody_waits
        assert published.empty()
        assert [meta["task_id"] for meta in stored] == [nobody_waits]
    finally:
        await listener.close()


async def test_a_result_that_nobody_waits_for_is_asked_for_when_its_message_got_lost(redis_url):
    task_id, stored = str(uuid.uuid4()), asyncio.Queue()
    finish(redis_url, task_id, publish=False)
    listener = ResultListener(redis_url, on_stored=stored.put_nowait, also=lambda: [task_id], poll_interval_seconds=0.2)
    await listener.open()
    try:
        async with asyncio.timeout(20):
            assert (await stored.get())["task_id"] == task_id
    finally:
        await listener.close()

"""A web process holds 200 searches open and still serves pages: no thread and no connection for any of them.

The same holds for requests that wait for a job, and for streams of its progress.
"""

import asyncio
import time
from contextlib import AsyncExitStack

import httpx
import psutil
import pytest
import redis

from tests import pictures
from tests.service import RunningService, room_to_hold
from tests.waiting import eventually
from tests.web_client import WebClient
from webapp.jobs.events import MOST_PER_CLIENT

pytestmark = pytest.mark.acceptance

HELD = 200
#: Enough to fill every pool of the web process: its threads for Django, its publishers, its connections.
FEW = 40
WAIT_SECONDS = 15


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """No workers: nobody will ever answer."""
    processes = ["redis", "redis-cache", "web"]
    folder = tmp_path_factory.mktemp("held")
    with RunningService(folder, processes=processes, environment=room_to_hold(HELD)) as running:
        running.create_user()
        yield running


async def hold(client: httpx.AsyncClient, gallery: str, headers: dict[str, str], image: bytes) -> httpx.Response:
    return await client.post(
        f"/api/v1/galleries/{gallery}/searches",
        params={"wait": WAIT_SECONDS},
        files={"image": ("query.jpg", image)},
        headers=headers,
    )


async def measure_while_held(service: RunningService, alice: WebClient, gallery: str) -> dict[str, float]:
    """Hold a few searches, so that the process' pools are full; then all of them, and look at what has grown."""
    web = psutil.Process(service.process("web").pid)
    queue = redis.Redis.from_url(service.redis_url)
    image = pictures.edited_portrait()
    held: list[asyncio.Task[httpx.Response]] = []

    async def hold_until(count: int) -> tuple[int, int]:
        held.extend(asyncio.create_task(hold(client, gallery, alice.headers, image)) for _ in range(count - len(held)))
        await asyncio.to_thread(
            eventually,
            lambda: queue.llen("search.dlib") >= count,
            "the searches are accepted",
            progress=lambda: queue.llen("search.dlib"),
        )
        await asyncio.sleep(0.5)  # the last ones have been sent; let them begin to wait
        return web.num_threads(), queue.info("clients")["connected_clients"]

    limits = httpx.Limits(max_connections=HELD + 10)
    cookies = dict(alice.http.cookies)
    async with httpx.AsyncClient(base_url=service.url, cookies=cookies, timeout=90, limits=limits) as client:
        threads_few, connections_few = await hold_until(FEW)
        threads_all, connections_all = await hold_until(HELD)
        started = time.monotonic()
        page = await client.get("/")
        measured = {
            "page_status": page.status_code,
            "page_seconds": time.monotonic() - started,
            "new_threads": threads_all - threads_few,
            "new_connections": connections_all - connections_few,
            "subscriptions": queue.pubsub_numpat() + len(queue.pubsub_channels()),
            "still_held": sum(not task.done() for task in held),
        }
        answers = await asyncio.gather(*held)
    measured["answered_202"] = sum(answer.status_code == 202 for answer in answers)
    return measured


def test_200_held_searches_cost_neither_threads_nor_connections(service: RunningService):
    alice = WebClient(service.url)
    gallery = alice.create_gallery("held")
    measured = asyncio.run(measure_while_held(service, alice, gallery))
    print(measured)
    alice.close()
    assert measured["answered_202"] == HELD
    assert measured["page_status"] == 200
    assert measured["still_held"] == HELD
    assert measured["subscriptions"] == 1
    assert measured["new_threads"] == 0
    assert measured["new_connections"] == 0


async def follow_and_wait(service: RunningService, alice: WebClient, job_id: str) -> dict[str, int]:
    """Open as many streams of a job as a client may, and wait for it with 100 requests; then let the streams go."""
    web = psutil.Process(service.process("web").pid)
    address = f"/api/v1/jobs/{job_id}"
    limits = httpx.Limits(max_connections=HELD)
    cookies = dict(alice.http.cookies)

    async with httpx.AsyncClient(base_url=service.url, cookies=cookies, timeout=90, limits=limits) as client:

        async def open_streams(held: AsyncExitStack, count: int) -> list[int]:
            """Return the status of each, once its first part has come."""
            opened = []
            for _ in range(count):
                stream = await held.enter_async_context(client.stream("GET", f"{address}/events"))
                parts = stream.aiter_bytes()
                held.push_async_callback(parts.aclose)  # and so it lives as long as the others
                await anext(parts)
                opened.append(stream.status_code)
            return opened

        threads = web.num_threads()
        async with AsyncExitStack() as held:
            opened = await open_streams(held, MOST_PER_CLIENT + 1)
            waits = [asyncio.create_task(client.get(address, params={"wait": 3})) for _ in range(100)]
            await asyncio.sleep(1.5)
            measured = {
                "opened": opened.count(200),
                "one_too_many": opened[-1],
                "page_status": (await client.get("/")).status_code,
                "new_threads": web.num_threads() - threads,
                "still_waiting": sum(not task.done() for task in waits),
            }
            answers = await asyncio.gather(*waits)
            measured["answered_200"] = sum(answer.status_code == 200 for answer in answers)
        # The streams' client is gone: their places are free again, if not at once.
        reopened = 0
        async with asyncio.timeout(60):
            while reopened < MOST_PER_CLIENT:
                await asyncio.sleep(0.2)
                async with AsyncExitStack() as held:
                    reopened = (await open_streams(held, MOST_PER_CLIENT)).count(200)
        measured["reopened"] = reopened
    return measured


def test_waiting_for_jobs_and_following_them_costs_no_threads(service: RunningService):
    alice = WebClient(service.url)
    gallery = alice.create_gallery("followed")
    files = [("files", ("photo.jpg", b"no worker looks at it"))]
    answer = alice.http.post(f"/api/v1/galleries/{gallery}/photos", files=files, headers=alice.headers)
    measured = asyncio.run(follow_and_wait(service, alice, answer.json()["job_id"]))
    print(measured)
    alice.close()
    assert measured == {
        "opened": MOST_PER_CLIENT,
        "one_too_many": 429,
        "page_status": 200,
        "new_threads": 0,
        "still_waiting": 100,
        "answered_200": 100,
        "reopened": MOST_PER_CLIENT,
    }

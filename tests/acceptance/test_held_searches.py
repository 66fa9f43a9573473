"""A web process holds 200 searches open and still serves pages: no thread and no connection for any of them."""

import asyncio
import time

import httpx
import psutil
import pytest
import redis

from tests import pictures
from tests.service import RunningService, room_to_hold
from tests.waiting import eventually
from tests.web_client import WebClient

pytestmark = pytest.mark.acceptance

HELD = 200
#: Enough to fill every pool of the web process: its threads for Django, its publishers, its connections.
FEW = 40
WAIT_SECONDS = 15


@pytest.fixture
def service(tmp_path):
    """No workers: nobody will ever answer."""
    processes = ["redis", "redis-cache", "web"]
    with RunningService(tmp_path, processes=processes, environment=room_to_hold(HELD)) as running:
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

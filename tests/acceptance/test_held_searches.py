"""A web process holds 200 searches open and still serves pages: no thread and no connection for any of them."""

import asyncio
import time

import httpx
import psutil
import pytest
import redis

from tests.acceptance.conftest import create_user
from tests.service import RunningService
from tests.web_client import WebClient
from webapp.config.asgi import SYNC_THREADS
from webapp.operations import samples

pytestmark = pytest.mark.acceptance

HELD = 200
WAIT_SECONDS = 15


@pytest.fixture
def service(tmp_path):
    """No workers: nobody will ever answer."""
    with RunningService(tmp_path, processes=["redis", "redis-cache", "web"]) as running:
        create_user(running)
        yield running


async def hold(client: httpx.AsyncClient, gallery: str, headers: dict[str, str], image: bytes) -> httpx.Response:
    return await client.post(
        f"/api/v1/galleries/{gallery}/searches",
        params={"wait": WAIT_SECONDS},
        files={"image": ("query.jpg", image)},
        headers=headers,
    )


async def measure_while_held(service: RunningService, alice: WebClient, gallery: str) -> dict[str, float]:
    """Hold the searches, and look at the process and its page once all of them wait."""
    web = psutil.Process(service.process("web").pid)
    queue = redis.Redis.from_url(service.redis_url)
    limits = httpx.Limits(max_connections=HELD + 10)
    async with httpx.AsyncClient(
        base_url=service.url, cookies=dict(alice.http.cookies), timeout=90, limits=limits
    ) as client:
        threads, connections = web.num_threads(), queue.info("clients")["connected_clients"]
        image = samples.portrait_query()
        held = [asyncio.create_task(hold(client, gallery, alice.headers, image)) for _ in range(HELD)]
        deadline = time.monotonic() + 60
        while queue.llen("search.starter") < HELD and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert not any(task.done() for task in held), "a search was answered although no worker runs"
        started = time.monotonic()
        page = await client.get("/")
        measured = {
            "page_status": page.status_code,
            "page_seconds": time.monotonic() - started,
            "new_threads": web.num_threads() - threads,
            "new_connections": queue.info("clients")["connected_clients"] - connections,
            "subscriptions": queue.pubsub_numpat(),
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
    assert measured["answered_202"] == HELD
    assert measured["page_status"] == 200
    assert measured["still_held"] == HELD
    assert measured["subscriptions"] == 1
    # What grows is bounded by the pools of the process, whatever the number of searches: threads for Django's
    # synchronous parts and for publishing, connections for publishing and for reading results.
    assert measured["new_threads"] <= SYNC_THREADS + 4 + 1
    assert measured["new_connections"] <= 4 + 2
    alice.close()

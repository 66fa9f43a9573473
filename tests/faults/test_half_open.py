"""Connections to Redis go half-open: they stay open and silent. Whoever holds one notices, and makes another."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tasks.web.results import KEY_PREFIX, ResultListener
from tests.faults.conftest import supervised
from tests.faults.invariants import wait_until_whole
from tests.faults.proxy import FreezingProxy
from tests.faults.traffic import Traffic, wait_until_searchable
from tests.ports import free_port_block
from tests.redis_server import redis_server
from tests.service import RunningService
from tests.waiting import HANG_SECONDS
from webapp.operations.ports import LocalPorts

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

#: How long new connections freeze as well, in the second case.
CUT_SECONDS = 10.0


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningService, FreezingProxy]]:
    """Every process of the service reaches Redis through the proxy; the test asks Redis itself."""
    ports = LocalPorts(web=free_port_block())
    with FreezingProxy(ports.redis) as proxy:
        environment = {"REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0"}
        folder = tmp_path_factory.mktemp("half-open")
        with supervised(folder, environment=environment, ports=ports) as (service, _):
            yield service, proxy


@pytest.mark.faults
@pytest.mark.parametrize("cut_seconds", [0.0, CUT_SECONDS])
def test_nothing_is_lost(behind_proxy: tuple[RunningService, FreezingProxy], cut_seconds: float):
    service, proxy = behind_proxy
    with Traffic(service, f"half-open {cut_seconds:g}") as traffic:
        traffic.wait_for_the_import()
        frozen = proxy.freeze(new_too=cut_seconds > 0)
        assert frozen > 5
        time.sleep(cut_seconds)
        proxy.heal()
        healed = time.monotonic()
        traffic.wait_for_every_photo()
    wait_until_whole(service)
    traffic.check(f"{frozen} half-open connections, cut for {cut_seconds:g} s", time.monotonic() - healed)
    wait_until_searchable(service, traffic.gallery)


async def test_a_result_is_heard_after_the_subscription_went_half_open(tmp_path: Path):
    with (
        redis_server(tmp_path) as (url, _),
        FreezingProxy(redis.Redis.from_url(url).get_connection_kwargs()["port"]) as proxy,
    ):
        # Without the poll: what wakes the waiter is the subscription.
        listener = ResultListener(f"redis://127.0.0.1:{proxy.port}/0", poll_interval_seconds=3600, silence_seconds=0.3)
        await listener.open()
        with redis.Redis.from_url(url) as broker:
            while not broker.pubsub_numpat():
                await asyncio.sleep(0.05)
            await asyncio.to_thread(proxy.freeze)
            while len(broker.client_list(_type="pubsub")) < 2:  # the frozen one, and the one in its place
                await asyncio.sleep(0.05)
            task_id = str(uuid.uuid4())
            waiting = asyncio.create_task(listener.wait(task_id, timeout_seconds=20))
            await asyncio.sleep(0.3)
            value = json.dumps({"status": "SUCCESS", "result": None, "task_id": task_id})
            broker.publish(KEY_PREFIX + task_id, value)
            meta = await waiting
        await listener.close()
    assert meta is not None

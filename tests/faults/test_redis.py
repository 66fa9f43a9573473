"""Redis loses its file, freezes, fills up, drops connections or evicts, in the middle of an import and of searches."""

import os
import shutil
import signal
import time
from collections.abc import Callable

import pytest
import redis

from tests import pictures
from tests.faults.invariants import wait_until_whole
from tests.faults.traffic import Traffic, wait_until_searchable
from tests.service import RunningService
from tests.waiting import HANG_SECONDS
from tests.web_client import WebClient

pytestmark = [pytest.mark.services, pytest.mark.faults, pytest.mark.timeout(HANG_SECONDS)]

FROZEN_SECONDS = 20.0
FULL_SECONDS = 8.0


def lose_the_file(service: RunningService) -> None:
    """Redis comes back with nothing: the database alone knows what was accepted."""
    shutil.rmtree(service.folder / "redis" / "appendonlydir")
    os.killpg(service.process("redis").pid, signal.SIGKILL)


def freeze(service: RunningService) -> None:
    pid = service.process("redis").pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(FROZEN_SECONDS)
    os.kill(pid, signal.SIGCONT)


def fill_up(service: RunningService) -> None:
    """With noeviction a full Redis refuses what would need memory; workers exit, and their supervisor restarts them."""
    with redis.Redis.from_url(service.redis_url) as broker:
        broker.config_set("maxmemory", 1)
        time.sleep(FULL_SECONDS)
        broker.config_set("maxmemory", 0)


def drop_connections(service: RunningService) -> None:
    with redis.Redis.from_url(service.redis_url) as broker:
        for _ in range(10):
            for kind in ("normal", "pubsub"):
                broker.client_kill_filter(_type=kind, skipme=True)
            time.sleep(0.5)


@pytest.mark.parametrize("fault", [lose_the_file, freeze, fill_up, drop_connections])
def test_nothing_is_lost(service: RunningService, fault: Callable[[RunningService], None]):
    with Traffic(service, fault.__name__) as traffic:
        traffic.wait_for_the_import()
        fault(service)
        healed = time.monotonic()
        traffic.wait_for_every_photo()
    wait_until_whole(service)
    traffic.check(f"redis: {fault.__name__}", time.monotonic() - healed)
    wait_until_searchable(service, traffic.gallery)


def test_a_full_redis_is_an_honest_answer(service: RunningService):
    alice = WebClient(service.url)
    gallery = alice.create_gallery("full")
    with redis.Redis.from_url(service.redis_url) as broker:
        broker.config_set("maxmemory", 1)
        try:
            answer = alice.search(gallery, pictures.edited_portrait())
            files = [("files", ("portrait.jpg", pictures.edited_portrait()))]
            added = alice.http.post(f"/api/v1/galleries/{gallery}/photos", files=files, headers=alice.headers)
        finally:
            broker.config_set("maxmemory", 0)
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
    assert "Retry-After" in answer.headers
    assert added.status_code == 202
    assert "continues once the queue is back" in added.json()["warning"]
    wait_until_whole(service)
    assert alice.progress(gallery)["indexed"] == 1
    alice.close()


def test_a_redis_that_evicts_is_refused_by_doctor(service: RunningService):
    with redis.Redis.from_url(service.redis_url) as broker:
        broker.config_set("maxmemory-policy", "allkeys-lru")
        try:
            diagnosis = service.manage("doctor", check=False)
        finally:
            broker.config_set("maxmemory-policy", "noeviction")
    assert diagnosis.returncode != 0
    assert "Set maxmemory-policy noeviction" in diagnosis.stdout

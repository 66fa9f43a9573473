"""What was begun and never ended is known when it comes again."""

import subprocess
import sys

import pytest
import redis

from tasks.worker import starts as starts_module
from tasks.worker.starts import PHOTO_PREFIX, Starts
from tests.redis_server import redis_server
from tests.servers import free_port

pytestmark = pytest.mark.services


@pytest.fixture
def cache(tmp_path):
    with redis_server(tmp_path) as (url, _), redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture
def waits(monkeypatch):
    """The deaths for which a task would have waited."""
    found = []
    monkeypatch.setattr(starts_module, "_wait_seconds", lambda deaths: found.append(deaths) or 0.0)
    return found


def die_with(cache: redis.Redis, task_id: str, photo_ids: list[str]) -> None:
    """Begin and never end, in a process that is gone at once."""
    port = cache.connection_pool.connection_kwargs["port"]
    running = f"Starts(redis.Redis(port={port})).running({task_id!r}, {photo_ids!r})"
    code = f"import os, redis; from tasks.worker.starts import Starts\nwith {running}: os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_message_that_did_not_end_is_not_begun_again(cache, waits):
    starts = Starts(cache)
    die_with(cache, "message", ["photo"])
    with starts.running("message", ["photo"]) as is_new:
        assert not is_new
    with starts.running("message", ["photo"]) as is_new:
        assert not is_new
    assert waits == []
    assert 0 < cache.ttl(PHOTO_PREFIX + "photo") <= 24 * 3600


def test_a_photo_that_was_in_a_dead_worker_waits_the_longer_the_more_often(cache, waits):
    starts = Starts(cache)
    die_with(cache, "1", ["poison", "neighbour"])
    die_with(cache, "2", ["poison"])
    with starts.running("3", ["neighbour", "another"]) as is_new:
        assert is_new
    die_with(cache, "4", ["poison"])
    with starts.running("5", ["neighbour", "another"]), starts.running("6", ["another", "poison"]):
        pass
    assert waits == [1, 3]  # those in this process


@pytest.mark.parametrize("error", [None, ValueError])
def test_what_ended_may_come_again_at_once(cache, waits, error):
    starts = Starts(cache)
    for _ in range(2):
        try:
            with starts.running("message", ["photo"]) as is_new:
                assert is_new
                if error:
                    raise error
        except ValueError:
            pass
    assert waits == []
    assert not cache.keys("*")


def test_without_redis_cache_everything_is_begun():
    starts = Starts(redis.Redis(port=free_port()))
    for _ in range(2):
        with starts.running("message", ["photo"]) as is_new:
            assert is_new

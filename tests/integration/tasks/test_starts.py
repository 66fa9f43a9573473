"""What was begun and never ended is known when it comes again."""

import subprocess
import sys

import pytest
import redis

from tasks.worker.starts import ALONE_PREFIX, Starts, Verdict
from tests.redis_server import redis_server
from tests.servers import free_port

pytestmark = pytest.mark.services

MOST_DEATHS = 3


@pytest.fixture
def cache(tmp_path):
    with redis_server(tmp_path) as (url, _), redis.Redis.from_url(url) as client:
        yield client


def die_with(cache: redis.Redis, task_id: str, *suspects: str) -> None:
    """Begin and never end, in a process that is gone at once."""
    port = cache.connection_pool.connection_kwargs["port"]
    running = f"Starts(redis.Redis(port={port}), most_deaths={MOST_DEATHS}).running({task_id!r}, {suspects!r})"
    code = f"import os, redis; from tasks.worker.starts import Starts\nwith {running}: os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True)


def verdict(cache: redis.Redis, task_id: str, *suspects: str) -> Verdict:
    with Starts(cache, most_deaths=MOST_DEATHS).running(task_id, suspects) as found:
        return found


def test_a_message_that_did_not_end_is_not_begun_again(cache):
    die_with(cache, "message")
    assert verdict(cache, "message") == Verdict.BEGUN_BEFORE
    assert verdict(cache, "message") == Verdict.BEGUN_BEFORE
    assert verdict(cache, "another") == Verdict.NEW


def test_a_photo_is_guilty_once_so_many_workers_died_while_they_had_opened_it_alone(cache):
    die_with(cache, "in company")
    die_with(cache, "1", "poison")
    assert verdict(cache, "neighbour", "neighbour") == Verdict.NEW
    assert 0 < cache.ttl(ALONE_PREFIX + "poison") <= 24 * 3600
    die_with(cache, "2", "poison")
    assert verdict(cache, "3", "poison") == Verdict.GUILTY
    assert verdict(cache, "4", "poison") == Verdict.NEW, "somebody wants it to be tried again"


def test_a_photo_that_was_alone_when_a_worker_died_by_chance_is_cleared_by_its_outcome(cache):
    die_with(cache, "1", "unlucky")
    assert verdict(cache, "2", "unlucky") == Verdict.NEW
    die_with(cache, "3", "unlucky")
    assert verdict(cache, "4", "unlucky") == Verdict.NEW


@pytest.mark.parametrize("error", [None, ValueError])
@pytest.mark.parametrize("suspects", [(), ("photo",)])
def test_what_ended_may_come_again_at_once(cache, error, suspects):
    starts = Starts(cache, most_deaths=MOST_DEATHS)
    for _ in range(2):
        try:
            with starts.running("message", suspects) as found:
                assert found == Verdict.NEW
                if error:
                    raise error
        except ValueError:
            pass
    assert not cache.keys("*")


def test_without_redis_cache_everything_is_begun():
    starts = Starts(redis.Redis(port=free_port()), most_deaths=MOST_DEATHS)
    for _ in range(2):
        with starts.running("message", ("photo",)) as found:
            assert found == Verdict.NEW

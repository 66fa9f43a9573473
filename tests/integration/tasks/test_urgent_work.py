"""What bulk work gives way to: messages that wait for a more urgent worker of the same machine."""

from typing import Any

import pytest
import redis

from tasks.app import app
from tasks.health.reports import WorkerReport
from tasks.worker.niceness import LOOK_SECONDS, REPORTS_SECONDS, UrgentWork
from tests.servers import free_port

pytestmark = pytest.mark.services

HERE, ELSEWHERE = "this machine", "another machine"


class Seen:
    """What one worker sees, by a clock that the test moves."""

    def __init__(self, broker: redis.Redis, queue: str) -> None:
        self.seconds = 0.0
        self.reports: list[WorkerReport] = []
        self._work = UrgentWork(broker, [queue], machine=HERE, reports=lambda: self.reports, clock=lambda: self.seconds)

    def add_worker(self, queue: str, *, machine: str = HERE, is_healthy: bool = True) -> None:
        report = WorkerReport(name=queue, pid=1, queues=(queue,), is_healthy=is_healthy, machine=machine)
        self.reports.append(report)

    def waits(self, *, after_seconds: float = REPORTS_SECONDS) -> bool:
        self.seconds += after_seconds
        return self._work.waits()


def send(queue: str, *, priority: int = 0) -> None:
    app.send_task("search_faces", queue=queue, priority=priority, ignore_result=True)


@pytest.mark.parametrize(
    ("own", "other", "gives_way"),
    [
        pytest.param("index.dlib", "search.dlib", True, id="index to search"),
        pytest.param("index.dlib", "search.another", True, id="index to search of another pack"),
        pytest.param("reindex.dlib", "search.dlib", True, id="reindex to search"),
        pytest.param("reindex.dlib", "index.dlib", True, id="reindex to index"),
        pytest.param("index.dlib", "reindex.dlib", False, id="index to reindex"),
        pytest.param("index.dlib", "index.dlib", False, id="index to index"),
        pytest.param("index.dlib", "records", False, id="index to records"),
        pytest.param("search.dlib", "search.dlib", False, id="search to search"),
    ],
)
def test_who_gives_way_to_whom(broker: redis.Redis, own: str, other: str, gives_way: bool) -> None:
    seen = Seen(broker, own)
    seen.add_worker(other)
    assert not seen.waits()
    send(other)
    assert seen.waits() == gives_way
    broker.flushall()
    assert not seen.waits()


def test_messages_of_every_priority_count(broker: redis.Redis) -> None:
    seen = Seen(broker, "reindex.dlib")
    seen.add_worker("index.dlib")
    for priority in (0, 3, 6, 9):
        send("index.dlib", priority=priority)
        assert seen.waits(), priority
        broker.flushall()


@pytest.mark.parametrize("worker", [{"machine": ELSEWHERE}, {"is_healthy": False}, None])
def test_nobody_waits_for_work_that_no_worker_here_will_take(broker: redis.Redis, worker: Any) -> None:
    seen = Seen(broker, "index.dlib")
    if worker is not None:
        seen.add_worker("search.dlib", **worker)
    send("search.dlib")
    assert not seen.waits()


def test_a_look_is_used_for_a_while(broker: redis.Redis) -> None:
    seen = Seen(broker, "index.dlib")
    seen.add_worker("search.dlib")
    assert not seen.waits()
    send("search.dlib")
    assert not seen.waits(after_seconds=LOOK_SECONDS / 2)
    assert seen.waits(after_seconds=LOOK_SECONDS)


def test_without_redis_nobody_pauses() -> None:
    seen = Seen(redis.Redis(port=free_port()), "index.dlib")
    seen.add_worker("search.dlib")
    assert not seen.waits()

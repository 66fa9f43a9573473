"""The records worker is killed, stopped and restarted in the middle of its work, and so is its broker.

The work is a task that deletes ended sessions: it writes the database, which a test can lock, and it is done once.
"""

import time
from collections.abc import Iterator

import pytest
import redis
from pytest_celery import CeleryTestSetup, CeleryTestWorker

from tasks import names, queues
from tests.faults.invariants import database
from tests.redis_server import queue_messages
from tests.service import RunningService
from tests.waiting import HANG_SECONDS, eventually
from tests.workers.conftest import VISIBILITY_SECONDS, locked_database, reports

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

NODES = ("redis", "redis-cache", "worker-records")
CONCURRENCY = 2


@pytest.fixture
def worker(celery_setup: CeleryTestSetup, broker: redis.Redis, cache: redis.Redis) -> Iterator[CeleryTestWorker]:
    """The worker, idle; a test that ends it has it back for the next one."""
    worker = celery_setup.worker
    if worker.container.status != "running":
        worker.restart()
    eventually(lambda: "records" in reports(cache), "the worker reports")
    yield worker
    eventually(lambda: held(broker) == (0, 0), "nothing is left in the queue")


def add_ended_session(service: RunningService) -> None:
    with database(service) as connection, connection:
        connection.execute(
            "INSERT INTO accounts_session (session_key, session_data, expire_date, seen_at) "
            "VALUES (hex(randomblob(16)), '', '2020-01-01', '2020-01-01')"
        )


def sessions(service: RunningService) -> int:
    with database(service) as connection:
        (count,) = connection.execute("SELECT count(*) FROM accounts_session").fetchone()
    return int(count)


def purge(setup: CeleryTestSetup, times: int = 1) -> None:
    for _ in range(times):
        setup.app.send_task(names.PURGE_SESSIONS, queue=queues.RECORDS, ignore_result=True)


def held(broker: redis.Redis) -> tuple[int, int]:
    """Return how many messages wait in the queue, and how many a worker has in its hand."""
    return len(queue_messages(broker, queues.RECORDS)), broker.hlen("unacked")


def has_ended(worker: CeleryTestWorker) -> bool:
    worker.container.reload()
    return bool(worker.container.status == "exited")


def test_a_worker_takes_no_more_messages_than_it_runs(
    celery_setup: CeleryTestSetup, worker: CeleryTestWorker, broker: redis.Redis, service: RunningService
) -> None:
    with locked_database(service):
        purge(celery_setup, times=CONCURRENCY + 3)
        eventually(lambda: held(broker) == (3, CONCURRENCY), "every process has a task")
        time.sleep(1)
        assert held(broker) == (3, CONCURRENCY)


def test_a_worker_told_to_stop_finishes_its_tasks_and_takes_no_other(
    celery_setup: CeleryTestSetup,
    worker: CeleryTestWorker,
    broker: redis.Redis,
    cache: redis.Redis,
    service: RunningService,
) -> None:
    add_ended_session(service)
    with locked_database(service):
        purge(celery_setup, times=CONCURRENCY + 2)
        eventually(lambda: held(broker) == (2, CONCURRENCY), "every process has a task")
        # Received is not begun: what no process has begun yet goes back to the queue.
        eventually(lambda: reports(cache)["records"].active_tasks == CONCURRENCY, "both have begun")
        seen = len(worker.logs())
        worker.kill("SIGTERM", reload_container=False)
        eventually(lambda: "shutdown" in worker.logs()[seen:].lower(), "the worker says that it stops")
    eventually(lambda: has_ended(worker), "the worker has stopped")
    assert sessions(service) == 0
    assert held(broker) == (2, 0)
    assert reports(cache) == {}, "a worker that left on purpose is gone at once"
    worker.restart()


def test_a_worker_goes_on_after_its_broker_restarted(
    celery_setup: CeleryTestSetup, worker: CeleryTestWorker, broker: redis.Redis, service: RunningService
) -> None:
    add_ended_session(service)
    celery_setup.broker.restart()
    purge(celery_setup)
    eventually(lambda: sessions(service) == 0, "the task ran")
    assert worker.container.status == "running"


def test_a_worker_that_starts_before_its_broker_waits_for_it(
    celery_setup: CeleryTestSetup, worker: CeleryTestWorker, service: RunningService
) -> None:
    assert celery_setup.app.conf.broker_connection_max_retries is None, "it must never give up"
    add_ended_session(service)
    worker.kill()
    celery_setup.broker.kill()
    seen = len(worker.logs())
    worker.container.start()
    eventually(lambda: "Trying again in" in worker.logs()[seen:], "the worker says that it waits")
    celery_setup.broker.restart()
    purge(celery_setup)
    eventually(lambda: sessions(service) == 0, "the task ran")


def test_a_task_whose_worker_was_killed_runs_again_after_the_visibility_timeout(
    celery_setup: CeleryTestSetup,
    worker: CeleryTestWorker,
    broker: redis.Redis,
    cache: redis.Redis,
    service: RunningService,
) -> None:
    add_ended_session(service)
    with locked_database(service):
        purge(celery_setup)
        eventually(lambda: held(broker) == (0, 1), "the worker has the task")
        eventually(lambda: reports(cache)["records"].active_tasks == 1, "it has begun")
        worker.kill()
        killed_at = time.monotonic()
    assert has_ended(worker)
    assert sessions(service) == 1
    worker.restart()
    eventually(lambda: sessions(service) == 0, "the task ran again")
    assert time.monotonic() - killed_at > VISIBILITY_SECONDS - 5
    eventually(lambda: held(broker) == (0, 0), "the message is acknowledged")

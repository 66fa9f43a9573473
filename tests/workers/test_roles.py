"""Every role of worker, as the Procfile starts it: what it is, what it is set to, and that work comes through it."""

import pickle
import shutil
import uuid
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from django.conf import settings
from pytest_celery import CeleryTestSetup, CeleryTestWorker

from tasks import names, queues
from tasks.dictionaries import pack_name
from tasks.health.canaries import canary_key
from tasks.messages.indexing import RemoveRequest
from tasks.messages.search import SearchResult
from tasks.targets import default_target
from tasks.web.results import KEY_PREFIX
from tasks.web.search_client import SearchClient
from tasks.work_queue import work_queue
from tests import pictures
from tests.faults.invariants import database, photo_states
from tests.service import RunningService
from tests.waiting import HANG_SECONDS, PATIENCE_SECONDS, eventually
from tests.workers.conftest import VISIBILITY_SECONDS, reports
from tests.workers.nodes import QUEUES

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

NODES = ("redis", "redis-cache", "milvus", "worker-search", "worker-index", "worker-records")
CANARIES = dict.fromkeys(queues.gpu_queues(pack_name()), names.CANARY) | {queues.RECORDS: names.RECORDS_CANARY}


@pytest.fixture
def workers(celery_setup: CeleryTestSetup, cache: redis.Redis) -> dict[str, CeleryTestWorker]:
    """The workers by the queue that they consume, all of them reporting."""
    eventually(lambda: len(reports(cache)) == len(QUEUES), "every worker reports")
    return {worker.worker_queue: worker for worker in celery_setup.worker_cluster}


@pytest.fixture(params=list(QUEUES.values()))
def queue(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def send_canary(setup: CeleryTestSetup, cache: redis.Redis, queue: str) -> None:
    """Send a canary and wait until it has come through."""
    cache.delete(canary_key(queue), f"{canary_key(queue)}:claimed")
    setup.app.send_task(CANARIES[queue], args=[queue], queue=queue, ignore_result=True)
    eventually(lambda: bool(cache.exists(canary_key(queue))), f"a canary came through {queue}")


def test_every_node_is_ready_and_every_worker_answers_a_ping(
    celery_setup: CeleryTestSetup, workers: dict[str, CeleryTestWorker], cache: redis.Redis
) -> None:
    assert celery_setup.ready(control=True)
    expected = {report.name for report in reports(cache).values()}
    eventually(
        lambda: {name for answer in celery_setup.app.control.ping(timeout=5) for name in answer} == expected,
        "every worker answers, and nobody else",
    )
    for worker in workers.values():
        eventually(lambda worker=worker: " ready." in worker.logs(), "the worker is ready")
        worker.assert_log_does_not_exist("Traceback")


def test_a_worker_says_what_it_is(workers: dict[str, CeleryTestWorker], cache: redis.Redis, queue: str) -> None:
    role = queue.partition(".")[0]
    report = reports(cache)[role]
    assert report.name.startswith(workers[queue].worker_name + "@")
    assert report.queues == (queue,)
    assert report.is_healthy, report.problem
    assert report.pack == ("" if queue == queues.RECORDS else pack_name())


def test_a_worker_has_the_settings_of_its_role(
    celery_setup: CeleryTestSetup, workers: dict[str, CeleryTestWorker], cache: redis.Redis, queue: str
) -> None:
    report = reports(cache)[queue.partition(".")[0]]
    conf = celery_setup.app.control.inspect([report.name], timeout=PATIENCE_SECONDS).conf(with_defaults=True)[
        report.name
    ]
    expected: dict[str, Any] = settings.CELERY_WORKER_ROLE | {
        "broker_transport_options": settings.CELERY_WORKER_ROLE["broker_transport_options"]
        | {"visibility_timeout": VISIBILITY_SECONDS},
        "accept_content": ["json"],
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        "result_backend_always_retry": True,
        "result_expires": 3600,
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        "task_retry_on_worker_lost": True,
        "worker_pool_start_method": "spawn",
        "worker_prefetch_multiplier": 1,
    }
    assert {name: conf.get(name) for name in expected} == expected


def test_a_canary_comes_through(
    celery_setup: CeleryTestSetup, workers: dict[str, CeleryTestWorker], cache: redis.Redis, queue: str
) -> None:
    send_canary(celery_setup, cache, queue)


def test_processes_of_the_records_worker_inherit_nothing(
    workers: dict[str, CeleryTestWorker], kind: str, cache: redis.Redis
) -> None:
    """A child that was forked would share sockets and locks of its parent; a spawned one starts from nothing."""
    if kind != "processes":
        pytest.skip("the processes of a container are not seen from outside")
    children = psutil.Process(reports(cache)["records"].pid).children()
    pool = [line for child in children if "tracker.py" not in (line := " ".join(child.cmdline()))]
    pool = [line for line in pool if "_tracker import main" not in line]
    assert len(pool) == 2
    assert all("spawn_main" in line for line in pool), pool


def test_a_message_that_could_run_code_does_not_and_kills_nobody(
    celery_setup: CeleryTestSetup,
    workers: dict[str, CeleryTestWorker],
    broker: redis.Redis,
    cache: redis.Redis,
    queue: str,
    tmp_path: Path,
) -> None:
    mark = tmp_path / "ran"
    with celery_setup.app.connection_for_write() as connection, connection.Producer() as producer:
        producer.publish(
            pickle.dumps(_Touch(mark)),
            routing_key=queue,
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"task": names.CANARY, "id": str(uuid.uuid4())},
        )
    eventually(lambda: "application/x-python-serialize" in workers[queue].logs(), "the worker has refused it")
    send_canary(celery_setup, cache, queue)
    assert not mark.exists()
    eventually(lambda: not broker.exists("unacked"), "the message is gone")


class _Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


# -- a search ---------------------------------------------------------------------------------------------------


@pytest.fixture
def gallery(workers: dict[str, CeleryTestWorker], service: RunningService, tmp_path: Path) -> str:
    """A gallery whose only photo went through the index worker and the records worker."""
    shutil.copy(pictures.sample_file("astronaut"), tmp_path)
    service.create_user()
    service.manage("import_photos", str(tmp_path), "--gallery", "roles", "--create")
    eventually(lambda: list(photo_states(service).values()) == ["indexed"], "the photo is indexed")
    with database(service) as connection:
        (gallery_id,) = connection.execute("SELECT id FROM gallery_gallery").fetchone()
    return str(uuid.UUID(gallery_id))


async def test_a_search_is_answered_while_the_index_worker_stands_still_and_its_answer_expires(
    workers: dict[str, CeleryTestWorker], broker: redis.Redis, service: RunningService, gallery: str
) -> None:
    index = workers[queues.index_queue(pack_name())]
    index.kill("SIGSTOP")
    try:
        for _ in range(50):
            request = RemoveRequest(
                targets=(default_target(),), gallery_id=str(uuid.uuid4()), photo_ids=(str(uuid.uuid4()),)
            )
            work_queue().send(request, queue=queues.index_queue(pack_name()))
        async with SearchClient() as search:
            search_id = await search.start_search(pictures.edited_portrait(), gallery_ids=(gallery,))
            result = await search.wait_for_answer(search_id, SearchResult, timeout_seconds=30)
    finally:
        index.kill("SIGCONT")
    assert result is not None
    assert [match.photo_id for face in result.faces for match in face.matches] == [
        str(uuid.UUID(photo_id)) for photo_id in photo_states(service)
    ]
    assert broker.keys(KEY_PREFIX + "*") == [(KEY_PREFIX + search_id).encode()], "only a search leaves a result"
    assert 0 < broker.ttl(KEY_PREFIX + search_id) <= settings.CELERY_RESULT_EXPIRES


def test_pings_leave_nothing_in_redis(
    celery_setup: CeleryTestSetup, workers: dict[str, CeleryTestWorker], broker: redis.Redis
) -> None:
    before = set(broker.keys("*pidbox*"))
    for _ in range(5):
        assert len(celery_setup.app.control.ping(timeout=10, limit=len(QUEUES))) == len(QUEUES)
    assert set(broker.keys("*pidbox*")) == before
    assert not [key for key in before if b".reply." in key]

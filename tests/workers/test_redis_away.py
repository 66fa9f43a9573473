"""Redis is away as a task ends: its result is not lost, and what is run again, as nobody acknowledged it, is the same.

A worker that holds a message while Redis refuses connections may exit: kombu 5.7 fails as it puts the message back. So
these tests restart what has ended, as a supervisor does.
"""

import asyncio
import base64
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from pytest_celery import CeleryTestSetup

from tasks import names, queues
from tasks.dictionaries import pack_name
from tasks.messages.indexing import IndexRequest, Outcomes, PhotoRef
from tasks.messages.search import SearchResult
from tasks.targets import default_target
from tasks.web.results import KEY_PREFIX
from tasks.web.search_client import SearchClient
from tasks.work_queue import work_queue
from tests import pictures
from tests.redis_server import queue_messages
from tests.service import RunningService
from tests.waiting import HANG_SECONDS, eventually

pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.timeout(HANG_SECONDS)]

NODES = ("redis", "redis-cache", "milvus", "worker-search", "worker-index")
AWAY_SECONDS = 2.0


@contextmanager
def redis_away_at_the_end(setup: CeleryTestSetup, milvus: Any, broker: redis.Redis) -> Iterator[None]:
    """What the block sends is begun, stands still at Milvus, and ends while Redis is killed."""
    milvus.kill(signal="SIGSTOP")
    try:
        yield
        eventually(lambda: broker.hlen("unacked") == 1, "a worker has the message")
        time.sleep(1)  # until it stands at Milvus; sooner or later, its end comes after the kill
        setup.broker.kill()
    finally:
        milvus.kill(signal="SIGCONT")
    time.sleep(AWAY_SECONDS)
    setup.broker.restart()


def revive(setup: CeleryTestSetup) -> None:
    """Start workers again that have ended."""
    for worker in setup.worker_cluster:
        worker.container.reload()
        if worker.container.status == "exited":
            worker.restart()


def is_settled(setup: CeleryTestSetup, broker: redis.Redis) -> bool:
    """Return whether no message of GPU workers waits or is in somebody's hand."""
    revive(setup)
    return not broker.hlen("unacked") and not any(
        queue_messages(broker, queue) for queue in queues.gpu_queues(pack_name())
    )


async def test_the_result_of_a_search_is_not_lost_and_a_second_run_does_not_change_it(
    celery_setup: CeleryTestSetup, nodes: dict[str, Any], broker: redis.Redis
) -> None:
    async with SearchClient() as search:
        with redis_away_at_the_end(celery_setup, nodes["milvus"], broker):
            search_id = await search.start_search(pictures.edited_portrait(), gallery_ids=(str(uuid.uuid4()),))
        result = await search.wait_for_answer(search_id, SearchResult, timeout_seconds=60)
    assert result is not None
    assert result.error is None
    assert len(result.faces) == 1
    await asyncio.to_thread(
        eventually, lambda: is_settled(celery_setup, broker), "the message is acknowledged in the end"
    )
    assert json.loads(broker.get(KEY_PREFIX + search_id) or "")["status"] == "SUCCESS"


def test_a_chunk_that_nobody_acknowledged_is_indexed_again_with_the_same_faces(
    celery_setup: CeleryTestSetup, nodes: dict[str, Any], broker: redis.Redis, service: RunningService
) -> None:
    photo = PhotoRef(photo_id=str(uuid.uuid4()), storage_key=str(uuid.uuid4()))
    (service.folder / "photos" / photo.storage_key).write_bytes(pictures.edited_portrait())
    with redis_away_at_the_end(celery_setup, nodes["milvus"], broker):
        request = IndexRequest(target=default_target(), gallery_id=str(uuid.uuid4()), photos=(photo,))
        work_queue().send(request, queue=queues.index_queue(pack_name()))

    def ran_twice() -> bool:
        revive(celery_setup)
        return len(outcomes(broker)) == 2

    eventually(ran_twice, "the chunk ran twice")
    first, second = outcomes(broker)
    assert first == second
    assert len(first.outcomes[0].faces) == 1
    eventually(lambda: is_settled(celery_setup, broker), "the message is acknowledged in the end")


def outcomes(broker: redis.Redis) -> list[Outcomes]:
    """Return what index tasks have sent to the records queue, which nobody consumes here."""
    messages = [json.loads(raw) for raw in queue_messages(broker, queues.RECORDS)]
    bodies = [json.loads(base64.b64decode(each["body"])) for each in messages if _is_outcomes(each)]
    return [Outcomes.from_json(kwargs["message"]) for _, kwargs, _ in bodies]


def _is_outcomes(message: dict[str, Any]) -> bool:
    return bool(message["headers"]["task"] == names.RECORD_OUTCOMES)

"""An import as a job through the real processes: it fills no queue, it can be cancelled, and it can be retried."""

import json
import time
from pathlib import Path

import pytest
import redis

from tasks import names
from tests.acceptance.test_killed_index_worker import many_portraits
from tests.service import EVERYTHING, RunningService
from tests.web_client import WebClient

pytestmark = pytest.mark.acceptance

BOUND = 3
GALLERY = "followed"


@pytest.fixture
def service(tmp_path: Path):
    environment = {"INDEX_QUEUE_BOUND": str(BOUND), "INDEX_CHUNK_SIZE": "2", "INDEX_CONCURRENCY": "1"}
    with RunningService(tmp_path, processes=EVERYTHING, environment=environment) as running:
        running.create_user()
        running.wait_until_healthy()
        yield running


def job(service: RunningService, *arguments: str) -> dict:
    return json.loads(service.manage("jobs", *arguments, "--json").stdout)


def index_messages(queue: redis.Redis) -> int:
    """Count what waits for an index worker, the canaries left out."""
    waiting = queue.lrange("index.dlib", 0, -1)
    return sum(json.loads(message)["headers"]["task"] == names.INDEX_PHOTOS for message in waiting)


def test_an_import_is_bounded_cancelled_and_retried(service: RunningService, tmp_path: Path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    many_portraits(folder)
    queue = redis.Redis.from_url(service.redis_url)
    service.stop("worker-index")
    imported = service.manage("import_photos", str(folder), "--gallery", GALLERY, "--create", "--json")
    job_id = json.loads(imported.stdout)["job_id"]
    total = job(service, "show", job_id)["total"]
    service.wait_until(lambda: index_messages(queue) == BOUND, "the queue is full")
    time.sleep(3)  # two ticks of the feeder
    assert index_messages(queue) == BOUND, "the rest waits in the database"

    service.start("worker-index")
    alice = WebClient(service.url)
    service.wait_until(lambda: alice.get(f"/jobs/{job_id}")["counts"]["indexed"] > 0, "the import has begun")
    cancelled = job(service, "cancel", job_id)
    assert cancelled["state"] == "cancelled"
    assert cancelled["counts"]["cancelled"] > 0, "the import was over before it was cancelled"
    indexed = cancelled["counts"]["indexed"]

    gallery = alice.get("/galleries")[0]["id"]
    service.wait_until(lambda: index_messages(queue) == 0, "the messages on their way are used up")
    service.wait_until(lambda: len(service.all_face_ids()) == indexed, "what came too late is removed again")
    assert alice.get(f"/jobs/{job_id}")["counts"] == cancelled["counts"]

    retried = job(service, "retry", job_id)
    assert retried["total"] == total - indexed
    service.wait_until(lambda: alice.get(f"/jobs/{retried['id']}")["state"] == "finished", "the retry is finished")
    service.wait_until(lambda: alice.progress(gallery)["indexed"] == total, "every photo is indexed")
    rows = sum(photo["face_count"] for photo in alice.photos(gallery).values())
    assert rows == len(service.all_face_ids()) == total
    alice.close()

"""An import as a job through the real processes: it fills no queue, it can be cancelled, and it can be retried.

Once it is cancelled it uses no worker any more: what is uploaded then is what a worker takes up next. What is deleted
during an import is gone long before the import is over.
"""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis

from tasks import names
from tasks.health.reports import KEY_PREFIX, WorkerReport
from tests import pictures
from tests.acceptance.test_killed_index_worker import many_portraits
from tests.faults.invariants import database
from tests.redis_server import queue_messages
from tests.service import EVERYTHING, RunningService
from tests.web_client import WebClient

pytestmark = pytest.mark.acceptance

GALLERY = "followed"


@dataclass(frozen=True, kw_only=True)
class Import:
    """An import of so many photos that is cancelled once some are indexed, and how the service works."""

    photos: int
    cancelled_after: int
    bound: int
    chunk: int
    concurrency: int


@pytest.fixture(
    params=[
        pytest.param(Import(photos=40, cancelled_after=1, bound=3, chunk=2, concurrency=1), id="40 photos"),
        pytest.param(
            Import(photos=1000, cancelled_after=50, bound=8, chunk=8, concurrency=2),
            id="1000 photos",
            marks=[pytest.mark.long, pytest.mark.timeout(1800)],
        ),
    ]
)
def planned(request: pytest.FixtureRequest) -> Import:
    return request.param


@pytest.fixture
def service(tmp_path: Path, planned: Import):
    environment = {
        "INDEX_QUEUE_BOUND": str(planned.bound),
        "INDEX_CHUNK_SIZE": str(planned.chunk),
        "INDEX_CONCURRENCY": str(planned.concurrency),
    }
    with RunningService(tmp_path, processes=EVERYTHING, environment=environment) as running:
        running.create_user()
        running.wait_until_healthy()
        yield running


def job(service: RunningService, *arguments: str) -> dict:
    return json.loads(service.manage("jobs", *arguments, "--json").stdout)


def index_messages(queue: redis.Redis) -> int:
    """Count what waits for an index worker, the canaries left out."""
    waiting = queue_messages(queue, "index.dlib")
    return sum(json.loads(message)["headers"]["task"] == names.INDEX_PHOTOS for message in waiting)


def rows_of(service: RunningService) -> set[str]:
    """Return the file names of all photos that still have a row."""
    with database(service) as connection:
        return {filename for (filename,) in connection.execute("SELECT filename FROM gallery_photo")}


def metrics_address(service: RunningService) -> str:
    """Return where the index worker serves its metrics; empty until it says so."""
    with redis.Redis.from_url(service.redis_cache_url) as cache:
        found = [cache.get(key) for key in cache.scan_iter(match=KEY_PREFIX + "*")]
    reports = [WorkerReport.model_validate_json(each) for each in found if each]
    return next((report.metrics_address for report in reports if report.role == "index"), "")


def photos_worked_on(address: str) -> int:
    """Count the photos that the index worker has finished, whether or not anybody wanted them any more."""
    lines = httpx.get(f"http://{address}/metrics").text.splitlines()
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith("facequeue_photos_total{"))


def test_an_import_is_bounded_cancelled_and_retried(service: RunningService, planned: Import, tmp_path: Path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    many_portraits(folder, planned.photos)
    queue = redis.Redis.from_url(service.redis_url)
    service.stop("worker-index")
    imported = service.manage("import_photos", str(folder), "--gallery", GALLERY, "--create", "--json")
    job_id = json.loads(imported.stdout)["job_id"]
    assert job(service, "show", job_id)["total"] == planned.photos
    service.wait_until(lambda: index_messages(queue) == planned.bound, "the queue is full")
    time.sleep(3)  # two ticks of the feeder
    assert index_messages(queue) == planned.bound, "the rest waits in the database"

    service.start("worker-index")
    alice = WebClient(service.url)
    gallery = alice.get("/galleries")["items"][0]["id"]
    wanted = planned.cancelled_after
    service.wait_until(lambda: alice.get(f"/jobs/{job_id}")["counts"]["indexed"] >= wanted, "the import has begun")
    answer = alice.http.post(f"/api/v1/jobs/{job_id}/cancel", headers=alice.headers)
    cancelled = answer.raise_for_status().json()
    assert cancelled["state"] == "cancelled"
    assert cancelled["counts"]["cancelled"] > 0, "the import was over before it was cancelled"
    assert cancelled["counts"]["failed"] == 0
    indexed = cancelled["counts"]["indexed"]

    [added] = alice.upload(gallery, {"afterwards.jpg": pictures.sample_bytes("astronaut")})
    began = time.monotonic()
    service.wait_until(
        lambda: alice.get(f"/photos/{added['photo_id']}")["state"] == "indexed", "what was uploaded then is indexed"
    )
    seconds = time.monotonic() - began
    service.wait_until(lambda: metrics_address(service), "the index worker says where its metrics are")
    in_vain = photos_worked_on(metrics_address(service)) - indexed - 1
    chunks = math.ceil(in_vain / planned.chunk)
    print(f"Of the cancelled photos, workers still finished {in_vain} ({chunks} chunks of {planned.chunk}).")
    print(f"The photo that was uploaded then was indexed {seconds:.1f} s later.")
    # Each task may have been in the middle of a chunk, and have handed over one that was not recorded yet.
    assert chunks <= 2 * planned.concurrency

    service.wait_until(lambda: index_messages(queue) == 0, "the messages on their way are used up")
    service.wait_until(lambda: len(service.all_face_ids()) == indexed + 1, "what came too late is removed again")
    assert alice.get(f"/jobs/{job_id}")["counts"] == cancelled["counts"]

    retried = job(service, "retry", job_id)
    assert retried["total"] == planned.photos - indexed
    service.wait_until(lambda: alice.get(f"/jobs/{retried['id']}")["counts"]["indexed"], "workers are busy again")
    alice.delete_photo(added["photo_id"])
    began = time.monotonic()
    service.wait_until(lambda: "afterwards.jpg" not in rows_of(service), "the photo is deleted")
    print(f"A photo that was deleted then was gone {time.monotonic() - began:.1f} s later.")
    assert alice.get(f"/jobs/{retried['id']}")["counts"]["pending"], "the removal waited for the photos of the retry"
    service.wait_until(lambda: alice.get(f"/jobs/{retried['id']}")["state"] == "finished", "the retry is finished")
    total = planned.photos
    service.wait_until(lambda: alice.progress(gallery)["indexed"] == total, "every photo is indexed")
    rows = sum(photo["face_count"] for photo in alice.photos(gallery).values())
    assert rows == len(service.all_face_ids()) == total
    alice.close()

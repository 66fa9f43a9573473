"""The whole service, seen from outside: its log lines, its metrics, its canaries and its reports."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from tasks import clock
from tasks.health.reports import KEY_PREFIX, WorkerReport
from tests import pictures
from tests.service import EVERYTHING, RunningService
from tests.web_client import WebClient
from worker.canary import CANARY_GALLERY_ID

pytestmark = pytest.mark.services

QUEUES = ("search.dlib", "index.dlib", "records")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    environment = {"LOG_FORMAT": "json", "CANARY_INTERVAL": "1"}
    folder = tmp_path_factory.mktemp("visible")
    with RunningService(folder, processes=EVERYTHING, environment=environment) as running:
        running.create_user()
        running.wait_until_healthy()
        running.wait_until(lambda: all_are_open(running), "every worker has opened everything")
        yield running


@pytest.fixture(scope="module")
def alice(service: RunningService) -> Iterator[WebClient]:
    client = WebClient(service.url)
    yield client
    client.close()


@pytest.fixture(scope="module")
def gallery(service: RunningService, alice: WebClient) -> str:
    """A gallery with one indexed photo, uploaded by the request `upload-of-alice`."""
    gallery_id = alice.create_gallery("Visible")
    alice.http.headers["X-Request-ID"] = "upload-of-alice"
    alice.upload(gallery_id, {"ada.jpg": portrait()})
    del alice.http.headers["X-Request-ID"]
    service.wait_until(lambda: alice.progress(gallery_id)["indexed"] == 1, "the photo is indexed")
    return gallery_id


def portrait() -> bytes:
    return pictures.saved(pictures.sample("astronaut"), "JPEG", quality=90)


def lines(service: RunningService, name: str) -> list[dict[str, Any]]:
    """The JSON lines of a process' log; what others than `logging` print is none."""
    return [json.loads(line) for line in service.log(name).splitlines() if line.startswith("{") and line.endswith("}")]


def lines_of(service: RunningService, name: str, request_id: str) -> list[dict[str, Any]]:
    return [line for line in lines(service, name) if line.get("request_id") == request_id]


def metrics(service: RunningService) -> str:
    answer = httpx.get(f"{service.url}/metrics", timeout=10)
    assert answer.status_code == 200
    return answer.text


def value(text: str, sample: str) -> float | None:
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(sample + " ")), None)


def all_are_open(service: RunningService) -> bool:
    found = reports(service)
    return len(found) == 4 and all(report.metrics_address for report in found.values())


def reports(service: RunningService) -> dict[str, WorkerReport]:
    """What the workers say of themselves, by role."""
    with redis.Redis.from_url(service.redis_cache_url) as cache:
        found = [cache.get(key) for key in cache.scan_iter(match=KEY_PREFIX + "*")]
    read = [WorkerReport.model_validate_json(each) for each in found if each]  # type: ignore[arg-type]
    return {report.role: report for report in read}


def test_one_id_follows_a_search_into_the_worker_and_back(
    service: RunningService, alice: WebClient, gallery: str
) -> None:
    alice.http.headers["X-Request-ID"] = "search-of-alice"
    answer = alice.search(gallery, portrait())
    del alice.http.headers["X-Request-ID"]

    assert answer.status_code == 200
    assert answer.headers["X-Request-ID"] == "search-of-alice"
    [web_line] = lines_of(service, "web", "search-of-alice")
    assert f"/galleries/{gallery}/searches 200" in web_line["message"]
    service.wait_until(lambda: bool(lines_of(service, "worker-search", "search-of-alice")), "the worker logged it")
    assert {line["task"] for line in lines_of(service, "worker-search", "search-of-alice")} == {"search_faces"}
    assert not lines_of(service, "worker-index", "search-of-alice")


def test_an_uploads_id_goes_through_index_and_records(service: RunningService, gallery: str) -> None:
    for name in ("web", "worker-index", "worker-records"):
        service.wait_until(lambda name=name: bool(lines_of(service, name, "upload-of-alice")), f"{name} logged it")  # type: ignore[misc]


def test_every_process_writes_json(service: RunningService, gallery: str) -> None:
    for name in ("web", "worker-search", "worker-index", "worker-records", "beat"):
        assert lines(service, name), service.log(name)[-1000:]
    assert not [line for line in service.log("web").splitlines() if not line.startswith("{")]


def test_a_canary_comes_through_every_queue(service: RunningService) -> None:
    def ages() -> list[float | None]:
        text = metrics(service)
        return [value(text, f'facequeue_canary_age_seconds{{queue="{queue}"}}') for queue in QUEUES]

    service.wait_until(lambda: None not in ages(), "a canary came through each queue")
    found = {finding["name"]: finding for finding in json.loads(service.manage("doctor", "--json").stdout)}
    assert all("ago, took" in found[f"canary {queue}"]["detail"] for queue in QUEUES)


def test_the_canary_is_nobodys_face(service: RunningService, alice: WebClient, gallery: str) -> None:
    [photo] = alice.photos(gallery).values()
    assert len(service.all_face_ids()) == photo["face_count"]
    assert CANARY_GALLERY_ID not in {each["id"] for each in alice.get("/galleries")["items"]}


def test_workers_say_what_they_are(service: RunningService) -> None:
    found = reports(service)
    assert set(found) == {"search", "index", "reindex", "records"}
    search, records = found["search"], found["records"]
    assert {"facequeue", "celery", "onnxruntime"} <= set(search.versions)
    assert "onnxruntime" not in records.versions
    assert search.breaker == "closed"
    assert search.concurrency == 8
    assert search.memory_mb > 20
    assert records.memory_mb > 20
    assert search.uptime_seconds > 0
    assert clock.now() - search.reported_at < 60


def test_every_worker_shows_its_metrics(service: RunningService, alice: WebClient, gallery: str) -> None:
    alice.search(gallery, portrait())
    shown = {
        role: httpx.get(f"http://{report.metrics_address}/metrics").text for role, report in reports(service).items()
    }

    assert (value(shown["search"], 'facequeue_outcomes_total{code="ok",task="search_faces"}') or 0) >= 1
    assert (value(shown["search"], 'facequeue_stage_seconds_count{role="search",stage="search"}') or 0) >= 1
    assert (value(shown["search"], "facequeue_vector_search_seconds_count") or 0) >= 1
    assert (value(shown["index"], 'facequeue_photos_total{code="indexed"}') or 0) >= 1
    # Its tasks run in child processes, and its endpoint adds them up.
    assert (value(shown["records"], 'facequeue_outcomes_total{code="ok",task="record_outcomes"}') or 0) >= 1
    assert (value(shown["records"], 'facequeue_queue_wait_seconds_count{task="record_outcomes"}') or 0) >= 1
    assert (value(metrics(service), 'facequeue_search_seconds_count{code="ok"}') or 0) >= 1


def test_a_queue_that_nobody_empties_shows_its_length_and_age(service: RunningService, gallery: str) -> None:
    service.stop("worker-index")
    try:

        def is_seen() -> bool:
            text = metrics(service)
            depth = value(text, 'facequeue_queue_depth{queue="index.dlib"}') or 0
            return depth >= 1 and (value(text, 'facequeue_queue_oldest_seconds{queue="index.dlib"}') or 0) > 1

        service.wait_until(is_seen, "the queue shows that it waits")
    finally:
        service.start("worker-index")

"""Every accepted search is answered or expires at its deadline with a reason; what nobody wants runs no model."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis
from django.conf import settings

from tasks.web.query_images import KEY_PREFIX
from tests import pictures
from tests.faults.conftest import ENVIRONMENT
from tests.service import RunningService
from tests.waiting import HANG_SECONDS, PATIENCE_SECONDS, eventually
from tests.web_client import WebClient

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

PROCESSES = ("redis", "redis-cache", "milvus", "web", "worker-search")
BOUND = 6
#: What one user may have in flight.
SHARE = BOUND // 2
#: Long enough that the room, which follows the deadline, holds BOUND searches.
TIMEOUT_SECONDS = 14.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("searches")
    environment = ENVIRONMENT | {
        "PYTHONPATH": f"{Path(__file__).parent / 'poison'}:{settings.BASE_DIR}",
        "FAULTS_DECODED_LOG": str(folder / "decoded"),
        "SEARCH_QUEUE_BOUND": str(BOUND),
        "SEARCH_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
        "SEARCH_CONCURRENCY": "1",
    }
    with RunningService(folder, processes=PROCESSES, environment=environment) as service:
        service.create_user()
        yield service


@pytest.fixture
def alice(service: RunningService) -> Iterator[WebClient]:
    client = WebClient(service.url)
    client.gallery = client.create_gallery(f"searches {time.monotonic()}")  # type: ignore[attr-defined]
    until_answered(client)
    for left in images(service):
        cache(service).delete(left)
    yield client
    client.close()


_number = iter(range(1_000_000))


def search(alice: WebClient, *, wait_seconds: float = 5) -> httpx.Response:
    """Search with a picture that no cache has seen."""
    image = pictures.edited_portrait() + str(next(_number)).encode()
    return alice.search(alice.gallery, image, wait_seconds=wait_seconds)  # type: ignore[attr-defined]


def until_answered(alice: WebClient) -> None:
    """Search until there is an answer: while nobody answers, the room for searches shrinks, and a search is refused."""
    eventually(lambda: search(alice).status_code == 200, "a search is answered")


def answer_of(alice: WebClient, accepted: httpx.Response) -> tuple[int, str]:
    """Poll until the search is answered or refused; return the status and the code, "" for an answer."""
    assert accepted.status_code == 202, accepted.text
    deadline = time.monotonic() + PATIENCE_SECONDS
    answer = accepted
    while answer.status_code == 202:
        assert time.monotonic() < deadline, "the search was neither answered nor did it expire"
        answer = alice.http.get(f"/api/v1/searches/{accepted.json()['ticket']}", params={"wait": 2})
    return answer.status_code, answer.json().get("code", "")


def decoded(service: RunningService) -> int:
    """How many pictures the workers have decoded so far."""
    return len((service.folder / "decoded").read_text().splitlines())


def cache(service: RunningService) -> redis.Redis:
    return redis.Redis.from_url(service.redis_cache_url)


def images(service: RunningService) -> list[bytes]:
    """Return the keys of the query images that wait for a worker."""
    return cache(service).keys(KEY_PREFIX + "*")  # type: ignore[return-value]


@contextmanager
def stopped(service: RunningService, name: str) -> Iterator[None]:
    pid = service.process(name).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_search_whose_image_was_evicted_says_so_without_a_model_run(service: RunningService, alice: WebClient):
    with stopped(service, "worker-search"):
        accepted = search(alice, wait_seconds=0)
        before = decoded(service)
        assert cache(service).delete(*images(service)) == 1
    assert answer_of(alice, accepted) == (410, "query_image_gone")
    assert decoded(service) == before
    until_answered(alice)
    assert decoded(service) == before + 1


def test_a_search_whose_redis_cache_restarted_says_so(service: RunningService, alice: WebClient):
    with stopped(service, "worker-search"):
        accepted = search(alice, wait_seconds=0)
        service.kill("redis-cache")
        service.start("redis-cache")
        eventually(lambda: _answers(service), "redis-cache answers")
    assert answer_of(alice, accepted) == (410, "query_image_gone")


def _answers(service: RunningService) -> bool:
    try:
        return bool(cache(service).ping())
    except redis.RedisError:
        return False


def test_a_cancelled_search_runs_no_model(service: RunningService, alice: WebClient):
    with stopped(service, "worker-search"):
        accepted = search(alice, wait_seconds=0)
        before = decoded(service)
        gone = alice.http.delete(f"/api/v1/searches/{accepted.json()['ticket']}", headers=alice.headers)
        assert gone.status_code == 204
        assert not images(service)
    assert answer_of(alice, accepted) == (410, "query_image_gone")
    assert decoded(service) == before


def test_a_search_whose_client_went_away_runs_no_model(service: RunningService, alice: WebClient):
    with stopped(service, "worker-search"):
        before = decoded(service)
        alice.http.timeout = httpx.Timeout(2)
        with pytest.raises(httpx.ReadTimeout):
            search(alice)
        alice.http.timeout = httpx.Timeout(60)
        eventually(lambda: not images(service), "the image is gone")
    until_answered(alice)
    assert decoded(service) == before + 1


def test_a_search_whose_deadline_passed_in_the_queue_is_not_run(service: RunningService, alice: WebClient):
    with stopped(service, "worker-search"):
        accepted = [search(alice, wait_seconds=0) for _ in range(SHARE)]
        before = decoded(service)
        assert {answer_of(alice, one) for one in accepted} == {(504, "search_expired")}
    until_answered(alice)
    assert decoded(service) == before + 1
    # Now the worker has seen them, and says why it ran none.
    ticket = accepted[0].json()["ticket"]
    said = alice.http.get(f"/api/v1/searches/{ticket}").json()["detail"]
    assert re.fullmatch(
        rf"This search waited [\d.]+ s for a worker, and may wait {TIMEOUT_SECONDS:g} s at most\. Please try again\.",
        said,
    )


def test_a_search_whose_worker_was_killed_is_answered_or_expires(service: RunningService, alice: WebClient):
    os.kill(service.process("worker-search").pid, signal.SIGSTOP)
    accepted = [search(alice, wait_seconds=0) for _ in range(SHARE)]
    service.kill("worker-search")
    service.start("worker-search")
    assert {answer_of(alice, one) for one in accepted} <= {(200, ""), (504, "search_expired")}


def test_a_user_with_a_full_share_is_refused_before_the_image_is_taken(service: RunningService, alice: WebClient):
    with stopped(service, "worker-search"):
        answers = [search(alice, wait_seconds=0) for _ in range(2 * BOUND)]
        accepted = [answer for answer in answers if answer.status_code == 202]
        refused = [answer for answer in answers if answer.status_code != 202]
        assert 0 < len(accepted) <= SHARE  # less when this takes long: the room shrinks while nobody answers
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "busy")}
        assert all("Retry-After" in answer.headers for answer in refused)
        assert len(images(service)) == len(accepted)
    assert {answer_of(alice, one) for one in accepted} <= {(200, ""), (504, "search_expired")}
    until_answered(alice)

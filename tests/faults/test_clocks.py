"""Hosts whose clocks are two minutes ahead and two minutes behind: nothing is lost or late, and everybody is told.

Only Redis, Milvus and one search worker have the right time. Beside that worker are one that is ahead and one that is
behind; the web and the index worker are ahead, beat and the records worker behind.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
import redis
from django.conf import settings

from tasks import names, queues
from tasks.dictionaries import pack_name
from tasks.health.canaries import CanaryReport, canary_key
from tests import pictures
from tests.clocks import WRONG_SECONDS, wrong_clock
from tests.faults.invariants import photo_states, wait_until_whole
from tests.faults.traffic import portraits
from tests.service import RunningService
from tests.waiting import HANG_SECONDS, eventually
from tests.web_client import WebClient

pytestmark = [pytest.mark.services, pytest.mark.timeout(HANG_SECONDS)]

ENVIRONMENT = {
    "CANARY_INTERVAL": "1",
    # Half of what the clocks are off by: a wrong comparison fails at once.
    "SEARCH_TIMEOUT_SECONDS": "60",
    "SEARCH_MAX_WAIT_SECONDS": "60",
    # Long, so that no sweep hides a message that is late.
    "INDEX_LEASE_SECONDS": "1000",
    "SEARCH_CONCURRENCY": "1",
}
CLOCKS = {"right": 0.0, "ahead": WRONG_SECONDS, "behind": -WRONG_SECONDS}
SEARCH_WORKERS = ("worker-search", "worker-search-ahead", "worker-search-behind")
WRONG = {"web": "ahead", "worker-index": "ahead", "worker-records": "behind", "beat": "behind"}
#: Searches per round. Rounds go on until every worker has answered some.
SEARCHES = 12
#: Well below what the clocks are off by.
ON_TIME_SECONDS = WRONG_SECONDS / 2
COUNTDOWN_SECONDS = 3.0
#: Of the estimate of the shared clock on a busy machine.
INACCURACY_SECONDS = 1.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    changed = {clock: wrong_clock(CLOCKS[clock]) for clock in ("ahead", "behind")}
    folder = tmp_path_factory.mktemp("clocks")
    with RunningService(
        folder, processes=("redis", "redis-cache", "milvus", "worker-search"), environment=ENVIRONMENT
    ) as service:
        service.create_user()
        for clock in ("ahead", "behind"):
            service.start("worker-search", label=f"worker-search-{clock}", environment=changed[clock])
        for name, clock in WRONG.items():
            service.start(name, environment=changed[clock])
        service.wait_until(service.answers, "the web answers")
        for name in (*SEARCH_WORKERS, "worker-index", "worker-records"):
            service.wait_until(lambda name=name: " ready." in service.log(name), f"{name} is ready")
        yield service


@pytest.fixture(scope="module")
def gallery(service: RunningService) -> str:
    """A gallery with photos, imported by hosts that are four minutes apart."""
    alice = WebClient(service.url)
    gallery = alice.create_gallery("clocks")
    alice.upload(gallery, portraits(4, of="clocks"))
    service.wait_until(lambda: set(photo_states(service).values()) == {"indexed"}, "every photo is indexed")
    alice.close()
    return gallery


def succeeded(service: RunningService, process: str, task: str) -> int:
    return sum(task in line and "succeeded in" in line for line in service.log(process).splitlines())


def test_no_search_is_lost(service: RunningService, gallery: str):
    def searched() -> list[int]:
        return [succeeded(service, name, names.SEARCH_FACES) for name in SEARCH_WORKERS]

    statuses: list[int] = []

    alice = WebClient(service.url)

    def search(number: int) -> int:
        picture = pictures.edited_portrait() + str(number).encode()
        answer = alice.search(gallery, picture, wait_seconds=60)
        while answer.status_code == 503:  # their share of the room is full; nothing was lost
            time.sleep(0.5)
            answer = alice.search(gallery, picture, wait_seconds=60)
        return answer.status_code

    def every_worker_has_answered() -> bool:
        with ThreadPoolExecutor(SEARCHES) as pool:
            statuses.extend(pool.map(search, range(len(statuses), len(statuses) + SEARCHES)))
        return all(searched())

    eventually(every_worker_has_answered, "every search worker has answered some", progress=lambda: tuple(searched()))
    alice.close()
    assert set(statuses) == {200}, statuses
    for name in SEARCH_WORKERS:
        assert f"Discarding revoked task: {names.SEARCH_FACES}" not in service.log(name)
    wait_until_whole(service)


SEND_LATER = f"""
from tasks.app import app
import sys
task, queue = sys.argv[1:]
print(app.send_task(task, args=[queue], queue=queue, countdown={COUNTDOWN_SECONDS}, ignore_result=True).id)
"""


@pytest.mark.parametrize("sender", list(CLOCKS))
@pytest.mark.parametrize(
    ("process", "task", "queue"),
    [
        pytest.param("worker-index", names.CANARY, queues.index_queue(pack_name()), id="to one ahead"),
        pytest.param("worker-records", names.RECORDS_CANARY, queues.RECORDS, id="to one behind"),
    ],
)
def test_what_is_sent_for_later_as_a_retry_is_starts_on_time(
    service: RunningService, sender: str, process: str, task: str, queue: str
):
    environment = service.environment | (wrong_clock(CLOCKS[sender]) if CLOCKS[sender] else {})
    began = time.time()
    sent = subprocess.run(
        [sys.executable, "-c", SEND_LATER, task, queue],
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    task_id = sent.stdout.strip()

    def logged() -> list[float]:
        """Return when the worker wrote that it has run it, by the right time."""
        lines = [line for line in service.log(process).splitlines() if f"{task_id}] succeeded" in line]
        times = [datetime.fromisoformat(line[:23].replace(",", ".")).timestamp() for line in lines]
        return [time_ - CLOCKS[WRONG[process]] for time_ in times]

    eventually(logged, "it has run", patience_seconds=2 * WRONG_SECONDS + ON_TIME_SECONDS)
    assert COUNTDOWN_SECONDS - INACCURACY_SECONDS <= logged()[0] - began < ON_TIME_SECONDS


def test_canaries_pass_every_queue_on_time(service: RunningService):
    with redis.Redis.from_url(service.redis_cache_url) as cache:
        wanted = [queues.search_queue(pack_name()), queues.index_queue(pack_name()), queues.RECORDS]
        cache.delete(*map(canary_key, wanted))  # those of the start, when nobody was there yet
        eventually(lambda: cache.exists(*map(canary_key, wanted)) == len(wanted), "a canary has passed every queue")
        for queue in wanted:
            report = CanaryReport.model_validate_json(cache.get(canary_key(queue)))
            assert 0 <= report.seconds < ON_TIME_SECONDS, report


def doctor(service: RunningService, **environment: str) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        env=service.environment | environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    return {finding["name"]: finding for finding in json.loads(done.stdout)}


def test_doctor_names_every_wrong_clock_and_finds_nothing_else_wrong(service: RunningService, gallery: str):
    def of(kind: str) -> list[float]:
        return sorted(each["value"] for name, each in found.items() if name.startswith(f"clock {kind}-"))

    found: dict[str, dict[str, Any]] = {}

    def only_clocks_are_wrong() -> bool:
        found.clear()
        found.update(doctor(service))
        return all(each["ok"] or name.startswith("clock ") for name, each in found.items())

    eventually(
        only_clocks_are_wrong,
        "doctor finds only clocks wrong",
        progress=lambda: tuple(name for name, each in found.items() if not each["ok"]),
        details=lambda: json.dumps([each for each in found.values() if not each["ok"]], indent=1),
    )
    assert of("search") == pytest.approx([-WRONG_SECONDS, WRONG_SECONDS], abs=2)
    for kind, clock in (("index", "ahead"), ("web", "ahead"), ("records", "behind"), ("beat", "behind")):
        assert of(kind) == pytest.approx([CLOCKS[clock]], abs=2)
    assert found["clock"]["ok"]
    [ahead] = [each for name, each in found.items() if name.startswith("clock index-")]
    assert ahead["detail"] == "120 s ahead of Redis'"
    assert not ahead["is_critical"]


def test_doctor_on_a_wrong_host_says_so(service: RunningService):
    own = doctor(service, **wrong_clock(WRONG_SECONDS))["clock"]
    assert not own["ok"]
    assert own["value"] == pytest.approx(WRONG_SECONDS, abs=2)

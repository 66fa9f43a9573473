"""The contract of every work queue: the one in memory, and Celery's on Redis."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from tasks import clock, targets
from tasks.errors import QueueUnavailable
from tasks.health.reports import WorkerReport, report_key
from tasks.messages.base import Message, Target
from tasks.messages.consistency import RecallSample
from tasks.messages.generations import DropRequest
from tasks.messages.indexing import IndexRequest, PhotoRef, RemoveRequest
from tasks.messages.search import SearchResult
from tasks.queues import Priority
from tasks.targets import LiveTargets
from tasks.web.memory import MemoryWorkQueue
from tasks.web.withdrawn import Withdrawn
from tasks.work_queue import CeleryWorkQueue, WorkQueue
from tests.redis_server import point_at, queue_lists, redis_server
from tests.servers import free_port

INDEX, REINDEX = "index.dlib", "reindex.dlib"
TARGET = Target(pack="dlib", collection="faces_dlib")
#: How long a test waits for something that must happen.
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Sides:
    """A work queue, and the workers' side of it."""

    queue: WorkQueue
    #: Takes a message as a worker would: its task's name and its JSON; None when no message is left.
    take: Callable[[str], tuple[str, dict[str, Any]] | None]
    report: Callable[[WorkerReport], None]
    published: Callable[[], LiveTargets | None]
    #: Returns those of the ids that were withdrawn.
    withdrawn: Callable[[list[str]], set[str]]
    go_down: Callable[[], None]


@pytest.fixture(params=["memory", pytest.param("celery", marks=pytest.mark.services)])
def sides(request: pytest.FixtureRequest) -> Sides:
    return request.getfixturevalue(f"{request.param}_sides")


@pytest.fixture
def queue(sides: Sides) -> WorkQueue:
    return sides.queue


@pytest.fixture
def memory_sides() -> Sides:
    queue = MemoryWorkQueue()

    def take(name: str) -> tuple[str, dict[str, Any]] | None:
        message = queue.take(name)
        return (message.task_name, message.to_json()) if message else None

    def go_down() -> None:
        queue.is_down = True

    return Sides(
        queue=queue,
        take=take,
        report=queue.reports.append,
        published=lambda: queue.live_targets,
        withdrawn=queue.withdrawn.intersection,
        go_down=go_down,
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _process):
        yield url


@pytest.fixture
def celery_sides(url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sides]:
    point_at(url, settings, monkeypatch)
    with redis.Redis.from_url(url) as client:
        client.flushall()

        def take(name: str) -> tuple[str, dict[str, Any]] | None:
            while raw := next((raw for each in queue_lists(name) if (raw := client.rpop(each))), None):
                message = json.loads(raw)  # type: ignore[arg-type]
                expires = message["headers"]["expires"]
                if expires is None or datetime.now(UTC) < datetime.fromisoformat(expires):
                    _, arguments, _ = json.loads(base64.b64decode(message["body"]))
                    return message["headers"]["task"], arguments["message"]
            return None

        yield Sides(
            queue=CeleryWorkQueue(),
            take=take,
            report=lambda report: client.set(report_key(report.name), report.model_dump_json()),
            published=targets.published,
            withdrawn=Withdrawn(client).among,
            go_down=lambda: point_at(f"redis://127.0.0.1:{free_port()}/0", settings, monkeypatch),
        )


REMOVAL = RemoveRequest(targets=(TARGET,), gallery_id="g", photo_ids=("p",))


def a_request(photo_id: str = "p") -> IndexRequest:
    return IndexRequest(target=TARGET, gallery_id="g", photos=(PhotoRef(photo_id=photo_id, storage_key="g/p"),))


# -- sending -----------------------------------------------------------------------------------


def test_a_message_reaches_its_task_unchanged(sides: Sides) -> None:
    sides.queue.send(a_request(), queue=INDEX)
    assert sides.take(INDEX) == ("index_photos", a_request().to_json())
    assert sides.take(INDEX) is None


def test_messages_leave_a_queue_in_the_order_they_were_sent(sides: Sides) -> None:
    for photo_id in "abc":
        sides.queue.send(a_request(photo_id), queue=INDEX)
    assert [sides.take(INDEX) for _ in range(3)] == [("index_photos", a_request(each).to_json()) for each in "abc"]


def test_removals_go_first_then_what_is_sent_as_urgent_then_photos_in_the_order_they_were_sent(sides: Sides) -> None:
    sides.queue.send(a_request("a"), queue=INDEX)
    sides.queue.send(a_request("b"), queue=INDEX)
    sides.queue.send(a_request("c"), queue=INDEX, priority=Priority.SOON)
    sides.queue.send(a_request("d"), queue=INDEX, priority=Priority.SOON)
    sides.queue.send(REMOVAL, queue=INDEX)
    assert waiting(sides.queue) == 5
    taken = [sides.take(INDEX) for _ in range(5)]
    assert taken == [
        ("remove_photos", REMOVAL.to_json()),
        *(("index_photos", a_request(photo_id).to_json()) for photo_id in "cdab"),
    ]


def test_queues_do_not_mix_and_may_carry_several_kinds_of_messages(sides: Sides) -> None:
    sides.queue.send(a_request(), queue=REINDEX)
    sides.queue.send(REMOVAL, queue=INDEX)
    sides.queue.send(DropRequest(target=TARGET), queue=INDEX)
    assert sides.take(INDEX) == ("remove_photos", REMOVAL.to_json())
    assert sides.take(INDEX) == ("drop_collection", DropRequest(target=TARGET).to_json())
    assert sides.take(REINDEX) == ("index_photos", a_request().to_json())


def test_an_expired_message_waits_until_its_turn_and_is_then_dropped(sides: Sides) -> None:
    sides.queue.send(RecallSample(target=TARGET), queue=INDEX, expires_seconds=0.001)
    sides.queue.send(a_request(), queue=INDEX, expires_seconds=600)
    time.sleep(0.01)
    assert waiting(sides.queue) == 2
    assert sides.take(INDEX) == ("index_photos", a_request().to_json())
    assert (sides.take(INDEX), waiting(sides.queue)) == (None, 0)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        pytest.param(SearchResult(), INDEX, id="an answer"),
        pytest.param(a_request(), "celery", id="a queue that nobody consumes"),
        pytest.param(a_request(), "delete.dlib", id="a role that does not exist"),
        pytest.param(a_request(), "index.", id="no pack"),
        pytest.param(a_request(), "", id="no queue"),
    ],
)
def test_a_message_that_no_worker_would_take_is_refused(queue: WorkQueue, message: Message, name: str) -> None:
    with pytest.raises(ValueError, match=r"No role consumes|No task takes"):
        queue.send(message, queue=name)
    assert waiting(queue) == 0


# -- what is known of the queues -----------------------------------------------------------------------------------


def waiting(queue: WorkQueue, name: str = INDEX) -> int:
    [status] = queue.statuses([name])
    return status.waiting


def test_a_status_says_how_many_messages_travel_ahead(queue: WorkQueue) -> None:
    queue.send(a_request(), queue=INDEX)
    queue.send(REMOVAL, queue=INDEX)
    queue.send(REMOVAL, queue=INDEX, priority=Priority.NORMAL)
    [status] = queue.statuses([INDEX])
    assert (status.waiting, status.first) == (3, 1)


def test_statuses_come_in_the_order_of_the_queues(queue: WorkQueue) -> None:
    began = clock.now()
    queue.send(a_request(), queue=REINDEX)
    queue.send(a_request(), queue=REINDEX)
    reindex, index = queue.statuses([REINDEX, INDEX])
    assert (reindex.name, reindex.waiting, index.name, index.waiting) == (REINDEX, 2, INDEX, 0)
    assert index.oldest_seconds is None
    assert reindex.oldest_seconds is not None
    assert 0 <= reindex.oldest_seconds <= clock.now() - began
    assert queue.statuses([]) == []


def test_a_message_that_a_worker_has_taken_does_not_wait(sides: Sides) -> None:
    for _ in range(2):
        sides.queue.send(a_request(), queue=INDEX)
    sides.take(INDEX)
    assert waiting(sides.queue) == 1


def test_an_empty_queue_was_left_by_all_but_the_latest_messages(sides: Sides) -> None:
    sides.queue.send(a_request(), queue=INDEX)
    sides.take(INDEX)
    before = clock.now()
    assert before - 5 <= sides.queue.left_before(INDEX, 5) <= clock.now() - 5


def test_a_waiting_message_never_counts_as_left(queue: WorkQueue) -> None:
    before = clock.now()
    queue.send(a_request(), queue=INDEX)
    assert queue.left_before(INDEX, 0.01) < before
    time.sleep(0.02)
    assert queue.left_before(INDEX, 0.01) < before


def test_a_message_that_others_overtake_never_counts_as_left(sides: Sides) -> None:
    before = time.time()
    sides.queue.send(a_request("overtaken"), queue=INDEX)
    for _ in range(3):
        sides.queue.send(a_request("urgent"), queue=INDEX, priority=Priority.SOON)
        sides.take(INDEX)
        time.sleep(0.02)
        assert sides.queue.left_before(INDEX, 0.01) < before
    sides.take(INDEX)
    assert sides.queue.left_before(INDEX, 0) >= before


def test_a_queue_that_is_never_empty_shows_in_time_what_left_it(sides: Sides) -> None:
    seconds = 0.05
    sides.queue.send(a_request("first"), queue=INDEX)
    between = clock.now()
    sides.queue.send(a_request("second"), queue=INDEX)
    sides.take(INDEX)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := sides.queue.left_before(INDEX, seconds)) < between - seconds:
        assert time.monotonic() < deadline, "the first message never counts as left"
        time.sleep(0.01)
    assert left <= clock.now() - seconds


def test_a_patient_caller_is_not_disturbed_by_an_impatient_one(sides: Sides) -> None:
    patient, impatient = 0.5, 0.01
    sides.queue.send(a_request("first"), queue=INDEX)
    between = clock.now()
    sides.queue.send(a_request("second"), queue=INDEX)
    sides.take(INDEX)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sides.queue.left_before(INDEX, patient) < between - patient:
        assert time.monotonic() < deadline, "the first message never counts as left"
        sides.queue.left_before(INDEX, impatient)
        time.sleep(0.02)


# -- withdrawn photos ------------------------------------------------------------------------------


def test_workers_see_what_was_withdrawn(sides: Sides) -> None:
    sides.queue.withdraw(["job", "gallery"])
    sides.queue.withdraw([])
    assert sides.withdrawn(["photo", "job"]) == {"job"}
    assert sides.withdrawn(["photo"]) == sides.withdrawn([]) == set()


# -- workers -----------------------------------------------------------------------------------


def test_the_reports_are_those_of_the_workers(sides: Sides) -> None:
    assert sides.queue.worker_reports() == ()
    report = WorkerReport(name="a@here", pid=1, queues=(INDEX,), is_healthy=True)
    sides.report(report)
    assert sides.queue.worker_reports() == (report,)


def test_workers_see_the_targets_published_last(sides: Sides) -> None:
    other = Target(pack="other", collection="faces_other", fingerprint="f" * 64, dimension=128)
    sides.queue.publish_targets(LiveTargets(active=TARGET))
    sides.queue.publish_targets(LiveTargets(active=TARGET, others=(other,)))
    assert sides.published() == LiveTargets(active=TARGET, others=(other,))


# -- a queue that is down -----------------------------------------------------------------------------------


def test_a_queue_that_is_down_raises(sides: Sides) -> None:
    sides.go_down()
    for act in (
        lambda: sides.queue.send(a_request(), queue=INDEX),
        lambda: sides.queue.statuses([INDEX]),
        lambda: sides.queue.left_before(INDEX, 1),
    ):
        with pytest.raises(QueueUnavailable):
            act()
    with pytest.raises(ValueError, match="No task takes"):
        sides.queue.send(SearchResult(), queue=INDEX)


def test_reading_reports_publishing_targets_and_withdrawing_never_raise(sides: Sides) -> None:
    sides.report(WorkerReport(name="a@here", pid=1, queues=(INDEX,), is_healthy=True))
    sides.go_down()
    assert sides.queue.worker_reports() == ()
    sides.queue.publish_targets(LiveTargets(active=TARGET))
    sides.queue.withdraw(["job"])

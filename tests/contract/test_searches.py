"""The contract of every search client: the one in memory, and SearchClient on Redis."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from tasks import queues
from tasks.config import QueueConfig
from tasks.errors import NoAnswer, QueueUnavailable
from tasks.health.reports import WorkerReport, report_key
from tasks.messages.answers import Answer
from tasks.messages.base import ErrorInfo, Target
from tasks.messages.detect import DetectResult
from tasks.messages.search import SearchResult
from tasks.messages.verify import VerifyResult
from tasks.web import query_images
from tasks.web.interfaces import Searches
from tasks.web.memory import MemorySearchClient
from tasks.web.results import KEY_PREFIX
from tasks.web.search_client import SearchClient
from tests.redis_server import point_at, redis_server
from tests.servers import free_port
from worker.errors import Busy
from worker.reasons import Reason

TARGET = Target(pack="dlib", collection="faces_dlib")
ALICE, BOB = "user:1", "user:2"
#: The most searches in flight.
BOUND = 4
GALLERY = str(uuid.UUID(int=1))
NO_FACE = SearchResult(reason=Reason("no_face", "There is no face."))
DIFFERENT = VerifyResult(similarity=0.1, is_same=False, threshold=0.8, reason=Reason("below_threshold", "No.", 0.1))
NOBODY = DetectResult(reason=Reason("no_face", "There is no face."), width=1, height=1)
NO_IMAGE = SearchResult(error=ErrorInfo(code="not_an_image", message="This file is not a picture."))


@dataclass(frozen=True, kw_only=True)
class Sides:
    """A search client, and the workers' side of it."""

    client: Searches
    #: Answer the search of this id.
    answer: Callable[[str, Answer], None]
    #: Whether a worker that takes the search of this id would find its image.
    would_run: Callable[[str], bool]
    report: Callable[[WorkerReport], None]
    fill: Callable[[], None]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def sides(kind: str, request: pytest.FixtureRequest) -> Sides:
    return request.getfixturevalue(f"{kind}_sides")


@pytest.fixture
def client(sides: Sides) -> Searches:
    return sides.client


@pytest.fixture
def down(kind: str, request: pytest.FixtureRequest) -> Searches:
    """A client whose Redis is down."""
    return request.getfixturevalue(f"{kind}_down")


@pytest.fixture
def memory_sides() -> Sides:
    client = MemorySearchClient(target=TARGET)
    client.most_in_flight = BOUND

    def answer(_search_id: str, result: Answer) -> None:
        match result:
            case SearchResult():
                client.result = result
            case VerifyResult():
                client.verified = result
            case DetectResult():
                client.detected = result

    def fill() -> None:
        client.is_full = True

    return Sides(
        client=client,
        answer=answer,
        would_run=lambda search_id: search_id not in client.cancelled,
        report=client.reports.append,
        fill=fill,
    )


@pytest.fixture
def memory_down() -> Searches:
    client = MemorySearchClient(target=TARGET)
    client.is_down = True
    return client


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _process):
        yield url


def config(url: str) -> QueueConfig:
    return QueueConfig(redis_url=url, redis_cache_url=url, target=TARGET, search_queue_bound=BOUND)


@pytest.fixture
async def redis_sides(url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sides]:
    point_at(url, settings, monkeypatch)
    with redis.Redis.from_url(url) as broker:
        broker.flushall()

        def answer(search_id: str, result: Answer) -> None:
            meta = json.dumps({"status": "SUCCESS", "result": result.to_json(), "task_id": search_id})
            broker.set(KEY_PREFIX + search_id, meta)
            broker.publish(KEY_PREFIX + search_id, meta)

        async with SearchClient(config(url)) as client:
            yield Sides(
                client=client,
                answer=answer,
                would_run=lambda search_id: bool(broker.exists(query_images.image_keys(search_id)[0])),
                report=lambda report: broker.set(report_key(report.name), report.model_dump_json()),
                fill=lambda: broker.lpush(queues.search_queue(TARGET.pack), *['{"headers": {}}'] * BOUND),
            )


@pytest.fixture
async def redis_down(settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Searches]:
    url = f"redis://127.0.0.1:{free_port()}/0"
    point_at(url, settings, monkeypatch)
    async with SearchClient(config(url)) as client:
        yield client


def healthy_worker() -> WorkerReport:
    names = (*queues.gpu_queues(TARGET.pack), queues.RECORDS)
    return WorkerReport(
        name="a@here",
        pid=1,
        queues=names,
        is_healthy=True,
        pack=TARGET.pack,
        connection_status="connected",
        collection=TARGET.collection,
        collection_status="loaded",
    )


async def start(client: Searches, by: str = "") -> str:
    return await client.start_search(b"picture", gallery_ids=(GALLERY,), client=by)


async def verify(client: Searches, by: str = "") -> str:
    return await client.start_verification((b"one", b"other"), client=by)


async def detect(client: Searches, by: str = "") -> str:
    return await client.start_detection(b"picture", client=by)


Start = Callable[[Searches, str], Awaitable[str]]
STARTS = [start, verify, detect]


async def has_room(client: Searches, by: str) -> bool:
    try:
        await client.check_room(by)
    except Busy:
        return False
    return True


# -- answers -----------------------------------------------------------------------------------


async def test_an_unanswered_search_has_no_answer_in_time(client: Searches) -> None:
    assert await client.wait_for_answer(await start(client), SearchResult, timeout_seconds=0.01) is None


async def test_an_answer_can_be_fetched_again_and_counts_once(sides: Sides) -> None:
    search_id = await start(sides.client)
    sides.answer(search_id, NO_FACE)
    for _ in range(2):
        assert await sides.client.wait_for_answer(search_id, SearchResult, timeout_seconds=10) == NO_FACE
    assert sides.client.get_metrics_summary().total_searches == 1


async def test_an_error_is_an_answer_and_counts_as_failed(sides: Sides) -> None:
    search_id = await start(sides.client)
    sides.answer(search_id, NO_IMAGE)
    assert await sides.client.wait_for_answer(search_id, SearchResult, timeout_seconds=10) == NO_IMAGE
    summary = sides.client.get_metrics_summary()
    assert (summary.total_searches, summary.failed_searches) == (1, 1)


async def test_two_searches_have_different_ids(client: Searches) -> None:
    assert await start(client) != await start(client)


async def test_a_search_in_one_call_raises_when_no_worker_answers(client: Searches) -> None:
    with pytest.raises(NoAnswer, match=r"No search worker answered within 0\.01 seconds"):
        await client.search_faces_in_image(b"picture", gallery_ids=(GALLERY,), timeout_seconds=0.01)


async def test_a_search_by_a_stored_face_is_answered_like_any_other(sides: Sides) -> None:
    search_id = await sides.client.start_search(uuid.UUID(int=7), gallery_ids=(GALLERY,))
    sides.answer(search_id, NO_FACE)
    assert await sides.client.wait_for_answer(search_id, SearchResult, timeout_seconds=10) == NO_FACE


async def test_a_verification_is_answered(sides: Sides) -> None:
    search_id = await sides.client.start_verification((b"one", b"other"))
    sides.answer(search_id, DIFFERENT)
    assert await sides.client.finish(search_id, VerifyResult, timeout_seconds=10) == DIFFERENT


async def test_a_detection_is_answered(sides: Sides) -> None:
    search_id = await sides.client.start_detection(b"picture")
    sides.answer(search_id, NOBODY)
    assert await sides.client.finish(search_id, DetectResult, timeout_seconds=10) == NOBODY


async def test_only_searches_count_as_searches(sides: Sides) -> None:
    search_id = await sides.client.start_detection(b"picture")
    sides.answer(search_id, NOBODY)
    await sides.client.finish(search_id, DetectResult, timeout_seconds=10)
    assert sides.client.get_metrics_summary().total_searches == 0


@pytest.mark.parametrize("start", STARTS)
async def test_what_nobody_answers_in_time_raises_and_is_cancelled(sides: Sides, start: Start) -> None:
    for _ in range(BOUND):
        search_id = await start(sides.client, ALICE)
        assert sides.would_run(search_id)
        with pytest.raises(NoAnswer, match=r"No search worker answered within 0\.01 seconds"):
            await sides.client.finish(search_id, DetectResult, timeout_seconds=0.01)
        assert not sides.would_run(search_id)
    assert await has_room(sides.client, ALICE)


@pytest.mark.parametrize("start", STARTS)
async def test_each_takes_a_place_of_the_same_room(client: Searches, start: Start) -> None:
    for _ in range(BOUND // 2):
        await start(client, ALICE)
    with pytest.raises(Busy, match="Your searches take your whole share"):
        await start(client, ALICE)


# -- cancelling -----------------------------------------------------------------------------------


async def test_no_worker_starts_a_cancelled_search(sides: Sides) -> None:
    search_id, other = await start(sides.client), await start(sides.client)
    assert sides.would_run(search_id)
    await sides.client.cancel_search(search_id)
    await sides.client.cancel_search(search_id)
    assert (sides.would_run(search_id), sides.would_run(other)) == (False, True)


async def test_an_answer_outlasts_a_cancellation(sides: Sides) -> None:
    search_id = await start(sides.client)
    sides.answer(search_id, NO_FACE)
    await sides.client.wait_for_answer(search_id, SearchResult, timeout_seconds=10)
    await sides.client.cancel_search(search_id)
    assert await sides.client.wait_for_answer(search_id, SearchResult, timeout_seconds=10) == NO_FACE


# -- when there is no room, or no Redis ------------------------------------------------------------------------------


async def test_a_full_queue_refuses_searches(sides: Sides) -> None:
    sides.fill()
    with pytest.raises(Busy, match="More searches are waiting"):
        await start(sides.client)
    with pytest.raises(Busy):
        await sides.client.search_faces_in_image(b"picture", gallery_ids=(GALLERY,))
    with pytest.raises(Busy):
        await verify(sides.client)
    with pytest.raises(Busy):
        await detect(sides.client)
    with pytest.raises(Busy):
        await sides.client.check_room(ALICE)
    with pytest.raises(Busy):
        async with sides.client.place(ALICE):
            pass


async def test_one_client_gets_half_of_the_room_and_leaves_the_rest_to_others(client: Searches) -> None:
    for _ in range(BOUND // 2):
        await start(client, by=ALICE)
    with pytest.raises(Busy, match="Your searches take your whole share") as refused:
        await start(client, by=ALICE)
    assert refused.value.retry_after_seconds
    await start(client, by=BOB)
    with pytest.raises(Busy, match="Your searches take your whole share"):
        await start(client, by=BOB)
    await start(client)  # a command has no share


async def test_an_answered_search_makes_room(sides: Sides) -> None:
    ids = [await start(sides.client, by=ALICE) for _ in range(BOUND // 2)]
    assert not await has_room(sides.client, ALICE)
    sides.answer(ids[0], NO_FACE)
    assert await sides.client.wait_for_answer(ids[0], SearchResult, timeout_seconds=10) == NO_FACE
    assert await has_room(sides.client, ALICE)


async def test_a_cancelled_search_makes_room(sides: Sides) -> None:
    ids = [await start(sides.client, by=ALICE) for _ in range(BOUND // 2)]
    await sides.client.cancel_search(ids[0])
    assert await has_room(sides.client, ALICE)


async def test_a_block_with_a_place_can_start_its_search(client: Searches) -> None:
    await client.check_room(ALICE)
    async with client.place(ALICE):
        await start(client)


async def test_a_service_that_is_down_raises_and_its_health_report_says_why(down: Searches) -> None:
    with pytest.raises(QueueUnavailable):
        await start(down)
    with pytest.raises(QueueUnavailable):
        await down.search_faces_in_image(b"picture", gallery_ids=(GALLERY,))
    with pytest.raises(QueueUnavailable):
        await verify(down)
    with pytest.raises(QueueUnavailable):
        await detect(down)
    with pytest.raises(QueueUnavailable):
        await down.wait_for_answer("s", SearchResult, timeout_seconds=1)
    with pytest.raises(QueueUnavailable):
        await down.check_room(ALICE)
    await down.cancel_search("s")
    report = await down.health_check()
    assert (report.is_healthy, report.workers, len(report.problems)) == (False, (), 1)


@pytest.mark.parametrize(
    "wrong",
    [{"limit": 0}, {"limit": 1001}, {"min_similarity": 1.5}, {"gallery_ids": ()}],
    ids=str,
)
async def test_a_search_that_no_worker_would_understand_is_refused(sides: Sides, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        await sides.client.start_search(b"picture", **{"gallery_ids": (GALLERY,), **wrong})


async def test_a_verification_that_no_worker_would_understand_is_refused(client: Searches) -> None:
    with pytest.raises(ValueError, match="min_similarity"):
        await client.start_verification((b"one", b"other"), min_similarity=1.5)


# -- health -----------------------------------------------------------------------------------


async def test_without_workers_the_service_is_not_healthy(client: Searches) -> None:
    report = await client.health_check()
    assert not report.is_healthy
    assert any("No healthy worker consumes the queue search.dlib." in problem for problem in report.problems)


async def test_with_a_healthy_worker_for_each_queue_the_service_is_healthy(sides: Sides) -> None:
    sides.report(healthy_worker())
    report = await sides.client.health_check()
    assert (report.is_healthy, report.workers, report.problems) == (True, (healthy_worker(),), ())

"""An index task that gives its photos up tells the records worker why."""

from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from tasks import names
from tasks.messages.base import Target
from tasks.messages.indexing import IndexFailure, IndexRequest, PhotoRef
from tasks.queues import RECORDS
from tasks.retry import MAX_RETRIES
from tasks.web.memory import MemoryWorkQueue
from tasks.work_queue import use_work_queue
from tasks.worker.niceness import Pauses
from tasks.worker.photos import indexing
from tasks.worker.starts import Verdict
from worker.errors import ModelMismatch
from worker.gates import Gate
from worker.vector_search.exceptions import StoreUnavailable

NOTHING = SimpleNamespace(among=lambda _: set())  # is withdrawn
REQUEST = IndexRequest(
    target=Target(pack="dlib", collection="faces_dlib"),
    gallery_id="g",
    photos=(PhotoRef(photo_id="p1", storage_key="g/p1"), PhotoRef(photo_id="p2", storage_key="g/p2")),
).to_json()


@pytest.fixture
def queue() -> Iterator[MemoryWorkQueue]:
    queue = MemoryWorkQueue()
    with use_work_queue(queue):
        yield queue


def run(monkeypatch: pytest.MonkeyPatch, error: Exception, *, retries: int, message: Any = REQUEST) -> str:
    """Run the task with a FaceIndex that raises `error`; return the state that it ends in."""

    def add(_: Any) -> None:
        raise error

    starts = SimpleNamespace(running=lambda *_: nullcontext(Verdict.NEW))
    pack = SimpleNamespace(detector_fingerprint="d" * 64)
    indexes = SimpleNamespace(index=lambda _: SimpleNamespace(add=add, pack=pack))
    state = SimpleNamespace(
        indexes=indexes, starts=starts, withdrawn=NOTHING, company=Gate(9), pauses=lambda: Pauses(bool)
    )
    monkeypatch.setattr(indexing, "state", state)
    monkeypatch.setattr(indexing.index_photos, "retry", lambda **_: RuntimeError("sent again"))
    ended: str = indexing.index_photos.apply(kwargs={"message": message}, retries=retries).state
    return ended


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(StoreUnavailable("Milvus does not answer."), "store_unavailable", id="retries used up"),
        pytest.param(ModelMismatch("Another pack."), "model_mismatch", id="never to be retried"),
        pytest.param(ZeroDivisionError("a secret"), "internal", id="unexpected"),
    ],
)
def test_the_last_cause_travels_with_the_photos(
    monkeypatch: pytest.MonkeyPatch, queue: MemoryWorkQueue, error: Exception, code: str
) -> None:
    assert run(monkeypatch, error, retries=MAX_RETRIES) == "FAILURE"
    failure = queue.take(RECORDS)
    assert isinstance(failure, IndexFailure)
    assert failure.task_name == names.RECORD_INDEX_FAILURE
    assert len(queue.sent) == 1
    assert (failure.photo_ids, failure.error.code) == (("p1", "p2"), code)
    assert "secret" not in failure.error.message


def test_a_task_that_is_sent_again_gives_nothing_up(monkeypatch: pytest.MonkeyPatch, queue: MemoryWorkQueue) -> None:
    run(monkeypatch, StoreUnavailable("Milvus does not answer."), retries=0)
    assert queue.sent == []


def test_a_queue_that_is_down_hides_no_cause(monkeypatch: pytest.MonkeyPatch, queue: MemoryWorkQueue) -> None:
    queue.is_down = True
    result = run(monkeypatch, ModelMismatch("Another pack."), retries=0)
    assert result == "FAILURE"


def test_a_message_that_nobody_understands_names_no_photos(
    monkeypatch: pytest.MonkeyPatch, queue: MemoryWorkQueue
) -> None:
    assert run(monkeypatch, ZeroDivisionError(), retries=0, message={"version": 2}) == "FAILURE"
    assert queue.sent == []

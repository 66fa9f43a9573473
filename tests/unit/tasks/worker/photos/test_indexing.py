"""What an index task does with photos that may kill its worker, and for whom it waits."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.messages.base import Target
from tasks.messages.indexing import IndexRequest, Outcomes, PhotoRef
from tasks.queues import RECORDS
from tasks.web.memory import MemoryWorkQueue
from tasks.work_queue import use_work_queue
from tasks.worker.niceness import Pauses
from tasks.worker.photos import indexing, opening
from tasks.worker.starts import Verdict
from worker.bulk import PhotoOutcome, PhotoToIndex

PHOTOS = tuple(PhotoRef(photo_id=photo_id, storage_key=photo_id) for photo_id in "ab")


class Worker:
    """A worker's state that notes what is done, in which order."""

    def __init__(self, verdict: Verdict) -> None:
        self.events: list[str] = []
        self.company = SimpleNamespace(
            places=9, take=lambda places: self._noted("alone" if places == 9 else "together")
        )
        self.starts = SimpleNamespace(running=lambda _, suspects: self._noted(f"begun {suspects}", verdict))
        self.pauses = lambda: Pauses(bool)
        self.withdrawn = SimpleNamespace(among=lambda _: set())
        pack = SimpleNamespace(detector_fingerprint="d" * 64)
        self.indexes = SimpleNamespace(index=lambda _: SimpleNamespace(add=self._add, pack=pack))

    @contextmanager
    def _noted(self, event: str, result: Any = None) -> Iterator[Any]:
        self.events.append(event)
        yield result
        self.events.append(f"end of {event}")

    def _add(self, photos: list[PhotoToIndex]) -> list[PhotoOutcome]:
        self.events.append("opened")
        return [PhotoOutcome(photo_id=photo.photo_id, state="indexed") for photo in photos]


@pytest.fixture
def queue() -> Iterator[MemoryWorkQueue]:
    queue = MemoryWorkQueue()
    with use_work_queue(queue):
        yield queue


def run(monkeypatch: pytest.MonkeyPatch, verdict: Verdict, *, alone: bool) -> list[str]:
    worker = Worker(verdict)
    monkeypatch.setattr(indexing, "state", worker)
    photos = PHOTOS[:1] if alone else PHOTOS
    request = IndexRequest(target=Target(pack="p", collection="c"), gallery_id="g", photos=photos, alone=alone)
    assert indexing.index_photos.apply(kwargs={"message": request.to_json()}).state == "SUCCESS"
    return worker.events


def test_a_chunk_is_opened_in_company_and_suspects_nobody(
    monkeypatch: pytest.MonkeyPatch, queue: MemoryWorkQueue
) -> None:
    events = run(monkeypatch, Verdict.NEW, alone=False)
    assert events == ["together", "begun []", "opened", "end of begun []", "end of together"]
    assert len(queue.sent) == 1


def test_a_suspect_is_marked_once_it_is_alone(monkeypatch: pytest.MonkeyPatch, queue: MemoryWorkQueue) -> None:
    events = run(monkeypatch, Verdict.NEW, alone=True)
    assert events[:3] == ["alone", "begun ['c:a']", "opened"]
    assert len(queue.sent) == 1


def test_a_guilty_photo_fails_without_being_opened(monkeypatch: pytest.MonkeyPatch, queue: MemoryWorkQueue) -> None:
    assert "opened" not in run(monkeypatch, Verdict.GUILTY, alone=True)
    answer = queue.take(RECORDS)
    assert isinstance(answer, Outcomes)
    [outcome] = answer.outcomes
    assert (outcome.photo_id, outcome.state, outcome.code) == ("a", "failed", "kills_workers")
    assert "died" in outcome.message


def test_a_message_that_was_begun_before_does_nothing(monkeypatch: pytest.MonkeyPatch, queue: MemoryWorkQueue) -> None:
    assert "opened" not in run(monkeypatch, Verdict.BEGUN_BEFORE, alone=False)
    assert queue.sent == []


def test_each_photo_is_read_after_a_pause(monkeypatch: pytest.MonkeyPatch, queue: MemoryWorkQueue) -> None:
    events: list[str] = []

    def opened(storage_key: str, mode: str) -> BytesIO:
        events.append(f"read {storage_key}")
        return BytesIO(b"image")

    def add(photos: list[PhotoToIndex]) -> list[PhotoOutcome]:
        assert [photo.read() for photo in photos] == [b"image"] * len(photos)
        return []

    worker = Worker(Verdict.NEW)
    worker.pauses = lambda: SimpleNamespace(pause=lambda: events.append("pause"))
    index = SimpleNamespace(add=add, pack=SimpleNamespace(detector_fingerprint=""))
    worker.indexes = SimpleNamespace(index=lambda _: index)
    monkeypatch.setattr(indexing, "state", worker)
    monkeypatch.setattr(opening, "default_storage", SimpleNamespace(open=opened))
    request = IndexRequest(target=Target(pack="p", collection="c"), gallery_id="g", photos=PHOTOS)
    assert indexing.index_photos.apply(kwargs={"message": request.to_json()}).state == "SUCCESS"
    assert events == ["pause", "read a", "pause", "read b"]

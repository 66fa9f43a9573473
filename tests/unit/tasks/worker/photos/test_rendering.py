"""A rendering task: what it reads, writes and reports, without a model and without a collection."""

import uuid
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.messages.base import BoxInfo
from tasks.messages.indexing import KnownFace, PhotoRef
from tasks.messages.renditions import Rendered, RenderedPhoto, RenderRequest
from tasks.storage.photo_files import rendition_key
from tasks.web.memory import MemoryWorkQueue
from tasks.work_queue import use_work_queue
from tasks.worker.niceness import Pauses
from tasks.worker.photos import rendering
from tasks.worker.starts import Verdict
from tests import pictures
from tests.packs import dlib_config
from tests.stored_files import stored_keys
from worker.gates import Gate, PictureGate
from worker.rendering import PhotoRendering, PhotoToRender, renderings

GALLERY = str(uuid.uuid4())
GOOD, BAD, GONE = (str(uuid.UUID(int=number)) for number in range(1, 4))
FACE = KnownFace(face_id="f1", box=BoxInfo(left=170, top=60, right=280, bottom=190))


class Worker:
    """A worker's state without models: whatever detects or embeds fails."""

    def __init__(self) -> None:
        self.withdrawn_ids: set[str] = set()
        self.verdict = Verdict.NEW
        self.company = Gate(9)
        self.starts = SimpleNamespace(running=lambda *_: nullcontext(self.verdict))
        self.withdrawn = SimpleNamespace(among=self._among)
        self.pauses = lambda: Pauses(bool)
        self.indexes = SimpleNamespace(render=self._render)

    def _among(self, ids: Collection[str]) -> set[str]:
        return self.withdrawn_ids & set(ids)

    def _render(self, photos: list[PhotoToRender]) -> list[PhotoRendering]:
        config = dlib_config(decode_threads=2)
        engine: Any = SimpleNamespace(config=config, gate=PictureGate(10**9), pack=SimpleNamespace(enough_pixels=1000))
        return renderings(engine, photos, limits=config.image_limits)


@pytest.fixture
def queue() -> Iterator[MemoryWorkQueue]:
    queue = MemoryWorkQueue()
    with use_work_queue(queue):
        yield queue


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Worker:
    settings.MEDIA_ROOT = tmp_path
    default_storage.save("good", ContentFile(pictures.sample_bytes("astronaut")))
    default_storage.save("bad", ContentFile(b"no picture"))
    worker = Worker()
    monkeypatch.setattr(rendering, "state", worker)
    return worker


def run(*, alone: bool = False) -> str:
    photos = (
        PhotoRef(photo_id=GOOD, storage_key="good", job_id="j", known_faces=(FACE,)),
        PhotoRef(photo_id=BAD, storage_key="bad", job_id="j"),
        PhotoRef(photo_id=GONE, storage_key="gone", job_id="j"),
    )
    request = RenderRequest(gallery_id=GALLERY, photos=photos[:1] if alone else photos, alone=alone)
    ended: str = rendering.render_photos.apply(kwargs={"message": request.to_json()}).state
    return ended


def reported(queue: MemoryWorkQueue) -> list[RenderedPhoto]:
    return [photo for report in queue.messages(Rendered) for photo in report.photos]


def test_each_photo_gets_its_renditions_or_a_reason(worker: Worker, queue: MemoryWorkQueue) -> None:
    assert run() == "SUCCESS"
    good, bad, gone = reported(queue)
    assert (good.code, bad.code, gone.code) == ("", "not_an_image", "photo_missing")
    assert all(each.message for each in (bad, gone))
    kept = {rendition_key(GOOD, kind, good.renditions) for kind in ("thumbnail", "preview")}  # type: ignore[arg-type]
    assert stored_keys() == {"good", "bad", *kept, rendition_key(GOOD, "face", good.crops["f1"])}
    again = stored_keys()
    run()
    assert stored_keys() == again, "it may run twice"


def test_photos_of_a_cancelled_job_are_neither_read_nor_reported(worker: Worker, queue: MemoryWorkQueue) -> None:
    worker.withdrawn_ids = {"j"}
    assert run() == "SUCCESS"
    assert queue.sent == []
    assert stored_keys() == {"good", "bad"}


def test_one_that_kills_workers_is_not_opened_again(worker: Worker, queue: MemoryWorkQueue) -> None:
    worker.verdict = Verdict.GUILTY
    run(alone=True)
    assert [each.code for each in reported(queue)] == ["kills_workers"]
    assert stored_keys() == {"good", "bad"}


def test_a_message_that_never_finished_does_not_run_again(worker: Worker, queue: MemoryWorkQueue) -> None:
    worker.verdict = Verdict.BEGUN_BEFORE
    run()
    assert queue.sent == []


def test_a_storage_in_trouble_fails_no_photo(
    worker: Worker, queue: MemoryWorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(default_storage, "save", save)
    retried: list[str] = []

    def retry(**how: Any) -> Exception:
        retried.append(how["exc"].code)
        return RuntimeError("sent again")

    monkeypatch.setattr(rendering.render_photos, "retry", retry)
    run()
    assert retried == ["photo_storage_unavailable"]
    assert queue.sent == []

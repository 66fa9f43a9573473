"""The search task drops what nobody wants any more before it costs a model run."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest

from tasks import clock
from tasks.errors import QueryImageGone
from tasks.messages.base import Target
from tasks.messages.search import SearchRequest
from tasks.worker import search
from tasks.worker.state import state
from worker.face_index import SearchAnswer

REQUEST = SearchRequest(target=Target(pack="p", collection="c"), gallery_ids=("g",), image_key="k", limit=3)


class Index:
    runs = 0

    def search(self, image: bytes, *, check_wanted: Callable[[], None], **_: object) -> SearchAnswer:
        check_wanted()
        self.runs += 1
        return SearchAnswer(faces=(), width=1, height=1)


class Uploads:
    def __init__(self, image: bytes | None) -> None:
        self.image = image

    def get(self, key: str) -> bytes:
        if self.image is None:
            raise QueryImageGone("The picture is gone.")
        return self.image

    def discard(self, key: str) -> None:
        self.image = None


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    index = Index()
    monkeypatch.setattr(state, "_indexes", SimpleNamespace(index=lambda target: index))
    return index


def test_a_search_without_its_image_runs_no_model(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_query_images", Uploads(None))
    assert search.search_faces(REQUEST.to_json())["error"]["code"] == "query_image_gone"
    assert index.runs == 0


def test_a_search_with_its_image_runs_the_model_and_forgets_the_image(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(b"picture")
    monkeypatch.setattr(state, "_query_images", uploads)
    assert search.search_faces(REQUEST.to_json())["error"] is None
    assert (index.runs, uploads.image) == (1, None)


@pytest.mark.parametrize(("left_seconds", "code", "runs"), [(-0.1, "search_expired", 0), (60, None, 1)])
def test_a_search_that_expires_while_it_waits_in_the_worker_runs_no_model(
    index: Index, monkeypatch: pytest.MonkeyPatch, left_seconds: float, code: str | None, runs: int
) -> None:
    monkeypatch.setattr(state, "_query_images", Uploads(b"picture"))
    expires = (clock.utcnow() + timedelta(seconds=left_seconds)).isoformat()
    search.search_faces.push_request(expires=expires)
    try:
        error = search.search_faces.run(REQUEST.to_json())["error"]
    finally:
        search.search_faces.pop_request()
    assert (error and error["code"], index.runs) == (code, runs)

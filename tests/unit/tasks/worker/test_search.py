"""The tasks with query images: what they answer, and that they drop what nobody wants before it costs a model run."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks import clock
from tasks.errors import QueryImageGone
from tasks.messages.base import BoxInfo, Target
from tasks.messages.detect import DetectRequest, DetectResult
from tasks.messages.search import SearchRequest, SearchResult
from tasks.messages.verify import VerifyRequest, VerifyResult
from tasks.worker import search
from tasks.worker.state import state
from worker.errors import FaceNotIndexed, TruncatedImage
from worker.queries.answers import DetectionAnswer, Matches, SearchAnswer, SearchedFace, Verification, VerifiedPicture
from worker.reasons import below_threshold, not_the_same, why_no_face
from worker.recognition.certainty import certainties
from worker.recognition.interfaces import AlignedFace, Box, Detection, Face, RejectedFace
from worker.vector_search.interfaces import Match

TARGET = Target(pack="p", collection="c")
SEARCH = SearchRequest(target=TARGET, gallery_ids=("g",), image_key="k", limit=3, min_similarity=0.5, faces="largest")
VERIFY = VerifyRequest(target=TARGET, image_keys=("k", "l"), min_similarity=0.5)
DETECT = DetectRequest(target=TARGET, image_key="k")
TASKS = [
    pytest.param(search.search_faces, SEARCH, id="search"),
    pytest.param(search.verify_faces, VERIFY, id="verify"),
    pytest.param(search.detect_faces, DETECT, id="detect"),
]

BOX = Box(left=1, top=2, right=3, bottom=4)
LANDMARKS = np.arange(10, dtype=np.float32).reshape(5, 2)
FACE = Face(box=BOX, landmarks=LANDMARKS, score=0.9, quality=0.5, embedding=np.zeros(2, np.float32))
SMALL = RejectedFace(box=BOX, score=0.7, reason="face_too_small")
MATCH = Match(face_id="f", photo_id="p", similarity=0.75)
SEEN = {
    "box": {"left": 1, "top": 2, "right": 3, "bottom": 4},
    "landmarks": [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]],
    "score": 0.9,
    "quality": 0.5,
}


class Index:
    """Answers with one of everything."""

    pack = SimpleNamespace(certainties=certainties(0.5))

    def __init__(self) -> None:
        self.runs: list[Any] = []
        self.error: Exception | None = None

    def search(self, image: bytes, *, check_wanted: Callable[[], None], **options: Any) -> SearchAnswer:
        self._run(check_wanted, image, options)
        found = SearchedFace(face=FACE, matches=(MATCH,), reason=None)
        return SearchAnswer(faces=(found,), rejected=(SMALL,), width=10, height=20)

    def search_by_face(self, face_id: str, *, check_wanted: Callable[[], None], **options: Any) -> Matches:
        self._run(check_wanted, face_id, options)
        return Matches(matches=(), reason=below_threshold(0.25))

    def verify(self, images: tuple[bytes, bytes], *, check_wanted: Callable[[], None], **options: Any) -> Verification:
        self._run(check_wanted, images, options)
        pictures = (
            VerifiedPicture(face=FACE, reason=None, width=10, height=20),
            VerifiedPicture(face=None, reason=why_no_face([]), width=30, height=40),
        )
        return Verification(similarity=0.25, is_same=False, threshold=0.5, pictures=pictures, reason=not_the_same(0.25))

    def detect(self, image: bytes, *, check_wanted: Callable[[], None]) -> DetectionAnswer:
        self._run(check_wanted, image, {})
        detection = Detection(box=BOX, landmarks=LANDMARKS, score=0.9)
        face = AlignedFace(detection=detection, crop=np.zeros((1, 1, 3), np.uint8), quality=0.5)
        return DetectionAnswer(faces=(face,), rejected=(SMALL,), width=10, height=20)

    def _run(self, check_wanted: Callable[[], None], query: Any, options: dict[str, Any]) -> None:
        check_wanted()
        if self.error is not None:
            raise self.error
        self.runs.append((query, options))


class Uploads:
    def __init__(self, **images: bytes) -> None:
        self.images = images

    def get(self, key: str) -> bytes:
        if key not in self.images:
            raise QueryImageGone("The picture is gone.")
        return self.images[key]

    def discard(self, *keys: str) -> None:
        for key in keys:
            self.images.pop(key)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    index = Index()
    monkeypatch.setattr(state, "_indexes", SimpleNamespace(index=lambda target: index))
    return index


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> Uploads:
    uploads = Uploads(k=b"picture", l=b"other")
    monkeypatch.setattr(state, "_query_images", uploads)
    return uploads


@pytest.mark.parametrize(("task", "request_"), TASKS)
def test_without_its_image_no_model_runs(index: Index, uploads: Uploads, task: Any, request_: Any) -> None:
    uploads.images.clear()
    assert task(request_.to_json())["error"]["code"] == "query_image_gone"
    assert index.runs == []


@pytest.mark.parametrize(("task", "request_"), TASKS)
def test_after_the_model_has_run_the_images_are_forgotten(
    index: Index, uploads: Uploads, task: Any, request_: Any
) -> None:
    assert task(request_.to_json())["error"] is None
    assert len(index.runs) == 1
    assert not {*getattr(request_, "image_keys", ("k",))} & {*uploads.images}


@pytest.mark.parametrize(("task", "request_"), TASKS)
@pytest.mark.parametrize(("left_seconds", "code", "runs"), [(-0.1, "search_expired", 0), (60, None, 1)])
def test_what_expires_while_it_waits_in_the_worker_runs_no_model(
    index: Index, uploads: Uploads, left_seconds: float, code: str | None, runs: int, task: Any, request_: Any
) -> None:
    expires = (clock.utcnow() + timedelta(seconds=left_seconds)).isoformat()
    task.push_request(expires=expires)
    try:
        error = task.run(request_.to_json())["error"]
    finally:
        task.pop_request()
    assert (error and error["code"], len(index.runs)) == (code, runs)


@pytest.mark.parametrize(("task", "request_"), TASKS)
def test_an_error_is_an_answer(index: Index, uploads: Uploads, task: Any, request_: Any) -> None:
    index.error = TruncatedImage("It is cut short.")
    error = {"code": "image_truncated", "message": "It is cut short."}
    assert task(request_.to_json())["error"] == error
    assert task({"version": 2})["error"]["code"] == "bad_message"


def test_a_search_answers_with_faces_matches_and_what_was_left_out(index: Index, uploads: Uploads) -> None:
    result = SearchResult.from_json(search.search_faces(SEARCH.to_json()))
    options = {"gallery_ids": ("g",), "limit": 3, "min_similarity": 0.5, "faces": "largest"}
    assert index.runs == [(b"picture", options)]
    [found] = result.faces
    assert found.face is not None
    assert found.face.model_dump(mode="json") == SEEN
    assert [match.model_dump() for match in found.matches] == [{"face_id": "f", "photo_id": "p", "similarity": 0.75}]
    assert result.certainties == Index.pack.certainties
    [rejected] = result.rejected
    assert (rejected.reason, rejected.box) == ("face_too_small", BoxInfo(left=1, top=2, right=3, bottom=4))
    assert (result.reason, result.width, result.height) == (None, 10, 20)


def test_a_search_by_a_stored_face_reads_no_image(index: Index, uploads: Uploads) -> None:
    by_face = SEARCH.model_copy(update={"image_key": "", "face_id": "a face"})
    result = SearchResult.from_json(search.search_faces(by_face.to_json()))
    assert index.runs == [("a face", {"gallery_ids": ("g",), "limit": 3, "min_similarity": 0.5})]
    [found] = result.faces
    assert (found.face, found.matches, found.reason) == (None, (), below_threshold(0.25))
    assert (result.reason, result.width) == (below_threshold(0.25), None)
    assert result.certainties == Index.pack.certainties
    assert len(uploads.images) == 2


def test_a_search_by_a_face_without_an_embedding_says_so(index: Index, uploads: Uploads) -> None:
    index.error = FaceNotIndexed()
    by_face = SEARCH.model_copy(update={"image_key": "", "face_id": "a face"})
    assert search.search_faces(by_face.to_json())["error"]["code"] == "face_not_indexed"


def test_a_verification_answers_with_both_pictures(index: Index, uploads: Uploads) -> None:
    result = VerifyResult.from_json(search.verify_faces(VERIFY.to_json()))
    assert index.runs == [((b"picture", b"other"), {"min_similarity": 0.5})]
    assert (result.similarity, result.is_same, result.threshold) == (0.25, False, 0.5)
    assert result.reason == not_the_same(0.25)
    first, second = result.pictures
    assert first.face is not None
    assert first.face.model_dump(mode="json") == SEEN
    assert (first.width, first.height, second.face, second.reason) == (10, 20, None, why_no_face([]))


def test_a_detection_answers_with_faces_and_what_was_left_out(index: Index, uploads: Uploads) -> None:
    result = DetectResult.from_json(search.detect_faces(DETECT.to_json()))
    assert [face.model_dump(mode="json") for face in result.faces] == [SEEN]
    assert [face.reason for face in result.rejected] == ["face_too_small"]
    assert (result.reason, result.width, result.height) == (None, 10, 20)

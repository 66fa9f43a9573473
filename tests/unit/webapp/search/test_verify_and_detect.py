"""The API that looks at images only: POST /verify and POST /detect."""

import asyncio
import tempfile
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tasks.messages.answers import RejectedFaceInfo
from tasks.messages.base import BoxInfo, ErrorInfo
from tasks.messages.detect import DetectResult
from tasks.messages.verify import VerifiedPictureInfo, VerifyResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import upload
from tests.unit.webapp.search.test_api import SEEN
from webapp.accounts.callers import Caller, Scope
from webapp.accounts.keys import key_create
from webapp.search.held import detection_start
from worker.reasons import not_the_same, why_no_face

ADDRESSES = ("/api/v1/verify", "/api/v1/detect")
SHOWN = {
    "box": {"left": 1, "top": 2, "right": 3, "bottom": 4},
    "landmarks": [[1, 2], [2, 2], [1, 3], [1, 4], [2, 4]],
    "score": 0.9,
    "quality": 0.8,
}
WITH_FACE = VerifiedPictureInfo(face=SEEN, reason=None, width=10, height=20)
WITHOUT = VerifiedPictureInfo(face=None, reason=why_no_face([]), width=30, height=40)
SAME = VerifyResult(similarity=0.95, is_same=True, threshold=0.8, pictures=(WITH_FACE, WITH_FACE))
DIFFERENT = VerifyResult(
    similarity=0.25, is_same=False, threshold=0.8, pictures=(WITH_FACE, WITH_FACE), reason=not_the_same(0.25)
)
FACELESS = VerifyResult(threshold=0.8, pictures=(WITH_FACE, WITHOUT), reason=why_no_face([]))
DETECTED = DetectResult(
    faces=(SEEN,),
    rejected=(RejectedFaceInfo(box=BoxInfo(left=5, top=6, right=7, bottom=8), score=0.7, reason="face_too_small"),),
    width=10,
    height=20,
)


@pytest.fixture
def api(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def ask(client: Client, address: str, image: bytes = b"one", other: bytes = b"other", **options: Any) -> Any:
    images = {"image": upload(image)}
    if "/verify" in address:
        images["other_image"] = upload(other)
    return client.post(address, images, **options)


def answer(client: MemorySearchClient) -> None:
    client.verified, client.detected = SAME, DETECTED


def test_two_images_of_one_person_are_the_same(api: Client, user: User, face_search: MemorySearchClient) -> None:
    face_search.verified = SAME
    response = ask(api, "/api/v1/verify?min_similarity=0.7&wait=5")
    assert response.status_code == 200
    picture = {"width": 10, "height": 20, "face": SHOWN, "reason": None}
    assert response.json() == {
        "similarity": 0.95,
        "is_same": True,
        "threshold": 0.8,
        "pictures": [picture, picture],
        "reason": None,
    }
    [sent] = face_search.sent_images
    assert (sent.images, sent.min_similarity, sent.timeout_seconds) == ((b"one", b"other"), 0.7, 5)
    assert sent.client == f"user:{user.pk}"


def test_different_people_have_a_reason(api: Client, face_search: MemorySearchClient) -> None:
    face_search.verified = DIFFERENT
    answered = ask(api, "/api/v1/verify").json()
    assert (answered["similarity"], answered["is_same"]) == (0.25, False)
    assert (answered["reason"]["code"], answered["reason"]["best_similarity"]) == ("below_threshold", 0.25)


def test_an_image_without_a_face_is_neither_the_same_nor_different(
    api: Client, face_search: MemorySearchClient
) -> None:
    face_search.verified = FACELESS
    answered = ask(api, "/api/v1/verify").json()
    assert (answered["similarity"], answered["is_same"], answered["reason"]["code"]) == (None, None, "no_face")
    assert [picture["face"] for picture in answered["pictures"]] == [SHOWN, None]
    assert answered["pictures"][1]["reason"]["code"] == "no_face"


def test_the_faces_of_an_image_are_detected(api: Client, face_search: MemorySearchClient) -> None:
    face_search.detected = DETECTED
    response = ask(api, "/api/v1/detect")
    assert response.status_code == 200
    assert response.json() == {
        "faces": [SHOWN],
        "rejected": [{"box": {"left": 5, "top": 6, "right": 7, "bottom": 8}, "score": 0.7, "reason": "face_too_small"}],
        "reason": None,
        "width": 10,
        "height": 20,
    }
    assert face_search.sent_images[0].images == (b"one",)


@pytest.mark.parametrize("address", ADDRESSES)
def test_nobody_waits_longer_than_a_search_may_take(
    api: Client, face_search: MemorySearchClient, settings: Any, address: str
) -> None:
    settings.SEARCH_TIMEOUT_SECONDS = 7.0
    for query, seconds in {"": 7.0, "?wait=2": 2.0, "?wait=1000": 7.0}.items():
        response = ask(api, address + query)
        assert (response.status_code, response.json()["code"]) == (504, "no_answer")
        assert response.has_header("Retry-After")
        assert face_search.waited[-1] == face_search.sent_images[-1].timeout_seconds == seconds
    assert len(face_search.cancelled) == 3, "a worker that has not begun never will"


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_wrong_with_an_image_is_told(api: Client, face_search: MemorySearchClient, address: str) -> None:
    error = ErrorInfo(code="not_an_image", message="The second picture: it is none.")
    face_search.verified, face_search.detected = VerifyResult(error=error), DetectResult(error=error)
    response = ask(api, address)
    assert (response.status_code, response.json()["code"]) == (400, "not_an_image")
    assert response.json()["detail"] == error.message


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_queue_that_is_down_or_full_says_when_to_come_back(
    api: Client, face_search: MemorySearchClient, address: str
) -> None:
    for trouble, code in (("is_full", "busy"), ("is_down", "queue_unavailable")):
        setattr(face_search, trouble, True)
        response = ask(api, address)
        assert (response.status_code, response.json()["code"]) == (503, code)
        assert int(response["Retry-After"]) > 0


@pytest.mark.parametrize("query", ["?min_similarity=2", "?min_similarity=nan", "?wait=0", "?wait=x"])
def test_a_bad_parameter_is_named(api: Client, face_search: MemorySearchClient, query: str) -> None:
    response = ask(api, f"/api/v1/verify{query}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert response.json()["detail"].startswith(query[1:].split("=")[0])


def test_both_images_are_needed(api: Client, face_search: MemorySearchClient) -> None:
    for form in ({}, {"image": upload()}, {"other_image": upload()}):
        assert api.post("/api/v1/verify", form).status_code == 422
    assert api.post("/api/v1/detect").status_code == 422
    assert face_search.sent_images == []


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_who_may_search_may_ask(user: User, face_search: MemorySearchClient, address: str) -> None:
    answer(face_search)
    assert ask(Client(), address).json()["code"] == "not_logged_in"
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    assert ask(strict, address).json()["code"] == "csrf"
    for scope, status in ((Scope.READ, 403), (Scope.SEARCH, 200)):
        _, token = key_create(user=user, name=scope, scopes={scope})
        assert ask(Client(), address, headers={"Authorization": f"Bearer {token}"}).status_code == status


@pytest.mark.parametrize("address", ADDRESSES)
def test_images_stay_in_memory(
    api: Client, face_search: MemorySearchClient, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a query image was written to a file")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", forbidden)
    monkeypatch.setattr("django.core.files.uploadedfile.tempfile.NamedTemporaryFile", forbidden)
    answer(face_search)
    large = b"x" * (4 * 2**20)
    assert ask(api, address, image=large).status_code == 200
    assert face_search.sent_images[0].images[0] == large


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_image_that_is_too_large_is_refused(
    api: Client, face_search: MemorySearchClient, settings: Any, address: str
) -> None:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"MAX_IMAGE_BYTES": 1000}
    response = ask(api, address, image=b"x" * 1001)
    assert (response.status_code, response.json()["code"]) == (413, "image_too_large")
    assert ask(api, "/api/v1/verify", other=b"x" * 1001).status_code == 413
    assert face_search.sent_images == []


async def test_a_request_whose_client_goes_away_cancels_the_work(
    user: User, monkeypatch: pytest.MonkeyPatch, face_search: MemorySearchClient
) -> None:
    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(face_search, "wait_for_answer", never)
    held = await detection_start(image=b"picture", caller=Caller(user=user))
    finishing = asyncio.create_task(held.finish())
    await asyncio.sleep(0)
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    assert face_search.cancelled == [held.search_id]

"""The search API: tokens, statuses, waiting, and query images that stay in memory."""

import asyncio
import tempfile
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from tasks.messages import BoxInfo, ErrorInfo, FaceMatches, Match, SearchResult
from tests.unit.webapp.conftest import FakeFaceSearch, add_indexed_photo, upload
from webapp.gallery import services
from webapp.gallery.models import Gallery, Photo
from webapp.problems import Problem
from webapp.search import services as search_services
from webapp.search import tokens
from webapp.search.tokens import SearchJob, search_job


def answer_with(*photos: Photo) -> SearchResult:
    """A result with one face that matches the first face of each photo."""
    matches = tuple(
        Match(face_id=str(photo.faces.get().id), photo_id=str(photo.id), similarity=0.9 - number / 10)
        for number, photo in enumerate(photos)
    )
    face = FaceMatches(box=BoxInfo(left=1, top=2, right=3, bottom=4), score=0.9, quality=0.8, matches=matches)
    return SearchResult(faces=(face,), width=100, height=80)


@pytest.fixture
def api(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def start(client: Client, gallery: Gallery, query: str = "", image: bytes = b"picture") -> Any:
    return client.post(f"/api/v1/galleries/{gallery.id}/searches{query}", {"image": upload(image)})


# -- statuses -----------------------------------------------------------------------------------------------


def test_a_search_is_accepted_with_a_job(api: Client, gallery: Gallery, face_search: FakeFaceSearch) -> None:
    response = start(api, gallery, "?limit=3&min_similarity=0.4")
    assert response.status_code == 202
    assert response["Location"].startswith("/api/v1/searches/")
    (sent,) = face_search.started
    assert sent["image"] == b"picture"
    assert (sent["gallery_id"], sent["limit"], sent["min_similarity"]) == (str(gallery.id), 3, 0.4)
    assert face_search.waited == [], "a search that does not wait does not ask"


def test_a_held_search_answers_with_its_matches(api: Client, gallery: Gallery, face_search: FakeFaceSearch) -> None:
    photo = add_indexed_photo(gallery)
    face_search.result = answer_with(photo)
    response = start(api, gallery, "?wait=5")
    assert response.status_code == 200
    assert response.json() == {
        "faces": [
            {
                "box": {"left": 1, "top": 2, "right": 3, "bottom": 4},
                "score": 0.9,
                "quality": 0.8,
                "matches": [
                    {
                        "photo": "ada.jpg",
                        "photo_id": str(photo.id),
                        "face_id": str(photo.faces.get().id),
                        "similarity": 0.9,
                        "person": None,
                        "person_id": None,
                    }
                ],
            }
        ],
        "reason": None,
    }
    assert face_search.waited == [5]


def test_an_answer_can_be_fetched_later(api: Client, gallery: Gallery, face_search: FakeFaceSearch) -> None:
    address = start(api, gallery, "?wait=1")["Location"]
    assert api.get(address).status_code == 202
    face_search.result = SearchResult(reason=ErrorInfo(code="no_face_found", message="There is no face."))
    response = api.get(address + "?wait=2")
    assert response.status_code == 200
    assert response.json() == {"faces": [], "reason": {"code": "no_face_found", "message": "There is no face."}}


def test_nobody_waits_longer_than_is_allowed(
    api: Client, gallery: Gallery, face_search: FakeFaceSearch, settings: Any
) -> None:
    settings.SEARCH_MAX_WAIT_SECONDS = 7.0
    start(api, gallery, "?wait=1000")
    assert face_search.waited == [7.0]


def test_a_search_nobody_answered_has_expired(
    api: Client, gallery: Gallery, face_search: FakeFaceSearch, settings: Any
) -> None:
    settings.SEARCH_TIMEOUT_SECONDS = 0.0
    response = start(api, gallery, "?wait=1")
    assert response.status_code == 504
    assert response.json()["code"] == "search_expired"


@pytest.mark.parametrize(
    ("code", "status", "retries"),
    [
        ("not_an_image", 400, False),
        ("image_empty", 400, False),
        ("image_too_large", 413, False),
        ("query_image_gone", 410, False),
        ("store_unavailable", 503, True),
        ("collection_not_loaded", 503, True),
        ("no_answer", 504, True),
        ("photo_storage_unavailable", 503, True),
        ("model_mismatch", 503, False),
        ("search_expired", 504, True),
        ("internal", 500, False),
    ],
)
def test_each_error_has_a_fitting_status(
    api: Client, gallery: Gallery, face_search: FakeFaceSearch, code: str, status: int, retries: bool
) -> None:
    face_search.result = SearchResult(error=ErrorInfo(code=code, message="One sentence."))
    response = start(api, gallery, "?wait=1")
    assert (response.status_code, response.json()) == (status, {"code": code, "message": "One sentence."})
    assert response.has_header("Retry-After") == retries


def test_a_queue_that_is_down_says_when_to_come_back(
    api: Client, gallery: Gallery, face_search: FakeFaceSearch
) -> None:
    face_search.is_down = True
    response = start(api, gallery)
    assert (response.status_code, response.json()["code"]) == (503, "queue_unavailable")
    assert int(response["Retry-After"]) > 0


@pytest.mark.parametrize("query", ["?limit=0", "?limit=1001", "?min_similarity=2", "?wait=-1", "?wait=x"])
def test_a_bad_parameter_is_named(api: Client, gallery: Gallery, face_search: FakeFaceSearch, query: str) -> None:
    response = start(api, gallery, query)
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_request"
    assert response.json()["message"].startswith(query[1:].split("=")[0])


def test_a_search_needs_an_image(api: Client, gallery: Gallery, face_search: FakeFaceSearch) -> None:
    response = api.post(f"/api/v1/galleries/{gallery.id}/searches")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


# -- who may see what ---------------------------------------------------------------------------------------


def test_without_a_session_nothing_is_answered(gallery: Gallery, face_search: FakeFaceSearch) -> None:
    response = start(Client(), gallery)
    assert (response.status_code, response.json()["code"]) == (401, "not_logged_in")
    assert face_search.started == []


def test_a_search_needs_the_csrf_token(user: User, gallery: Gallery, face_search: FakeFaceSearch) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    response = start(client, gallery)
    assert (response.status_code, response.json()["code"]) == (403, "csrf")
    client.get("/")
    token = client.cookies["csrftoken"].value
    address = f"/api/v1/galleries/{gallery.id}/searches"
    assert client.post(address, {"image": upload()}, headers={"X-CSRFToken": token}).status_code == 202
    assert client.post(address, {"image": upload(), "csrfmiddlewaretoken": token}).status_code == 202


def test_anstrangers_gallery_is_not_found(api: Client, their_gallery: Gallery, face_search: FakeFaceSearch) -> None:
    response = start(api, their_gallery)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert face_search.started == []


def test_anstrangers_search_is_not_found(
    api: Client, gallery: Gallery, stranger: User, face_search: FakeFaceSearch
) -> None:
    address = start(api, gallery)["Location"]
    thief = Client()
    thief.force_login(stranger)
    assert thief.get(address).status_code == 404
    assert api.get(address).status_code == 202


def test_the_answer_of_a_gallery_deleted_since_is_not_found(
    api: Client, gallery: Gallery, face_search: FakeFaceSearch
) -> None:
    address = start(api, gallery)["Location"]
    services.gallery_delete(gallery=gallery)
    assert api.get(address).status_code == 404


def test_deleted_photos_and_those_of_other_galleries_are_dropped(
    api: Client, gallery: Gallery, their_gallery: Gallery, face_search: FakeFaceSearch
) -> None:
    kept = add_indexed_photo(gallery, content=b"1", name="kept.jpg")
    deleted = add_indexed_photo(gallery, content=b"2")
    theirs = add_indexed_photo(their_gallery, content=b"3")
    face_search.result = answer_with(deleted, theirs, kept)
    services.photos_delete(gallery=gallery, photo_ids=[deleted.id])
    (face,) = start(api, gallery, "?wait=1").json()["faces"]
    assert [match["photo"] for match in face["matches"]] == ["kept.jpg"]


# -- tokens -------------------------------------------------------------------------------------------------


JOB = SearchJob(job_id=str(uuid.uuid4()), user_id="7", gallery_id=str(uuid.uuid4()), started=1.0, timeout_seconds=30.0)


def test_a_token_carries_the_job() -> None:
    assert search_job(JOB.to_token(), user_id=7) == JOB


@pytest.mark.parametrize("token", ["", "x", "a:b:c", pytest.param(JOB.job_id, id="the bare job id")])
def test_something_that_is_no_token_is_not_found(token: str) -> None:
    with pytest.raises(Problem, match="no such search"):
        search_job(token, user_id=7)


def test_a_search_is_cancelled_by_its_owner_only(
    api: Client, stranger: User, gallery: Gallery, face_search: FakeFaceSearch
) -> None:
    address = start(api, gallery)["Location"]
    thief = Client()
    thief.force_login(stranger)
    assert thief.delete(address).status_code == 404
    assert face_search.cancelled == []
    assert api.delete(address).status_code == 204
    assert len(face_search.cancelled) == 1


async def test_a_search_whose_client_goes_away_is_cancelled(
    user: User, monkeypatch: pytest.MonkeyPatch, face_search: FakeFaceSearch
) -> None:
    async def never(**_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(search_services, "search_wait", never)
    job = SearchJob(job_id="j", user_id="1", gallery_id="g", started=0.0, timeout_seconds=1.0)
    held = asyncio.create_task(search_services.search_held(job=job, user=user, wait_seconds=5))
    await asyncio.sleep(0)
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    assert face_search.cancelled == ["j"]


def test_a_token_signed_with_another_secret_is_not_found(settings: Any) -> None:
    token = JOB.to_token()
    settings.SECRET_KEY = "another" * 10
    with pytest.raises(Problem, match="no such search"):
        search_job(token, user_id=7)


def test_a_value_signed_for_another_purpose_is_not_found() -> None:
    from django.core import signing

    for forged in (signing.dumps({"user_id": "7"}, salt=tokens._SALT), signing.dumps({"user_id": "7"})):
        with pytest.raises(Problem, match="no such search"):
            search_job(forged, user_id=7)


# -- memory only --------------------------------------------------------------------------------------------


def test_a_query_image_larger_than_djangos_default_stays_in_memory(
    api: Client, gallery: Gallery, face_search: FakeFaceSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a query image was written to a file")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", forbidden)
    monkeypatch.setattr("django.core.files.uploadedfile.tempfile.NamedTemporaryFile", forbidden)
    image = b"x" * (4 * 2**20)
    assert start(api, gallery, image=image).status_code == 202
    assert face_search.started[0]["image"] == image


def test_a_query_image_that_is_too_large_is_refused(
    api: Client, gallery: Gallery, face_search: FakeFaceSearch, settings: Any
) -> None:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"MAX_IMAGE_BYTES": 1000}
    response = start(api, gallery, image=b"x" * 1001)
    assert (response.status_code, response.json()["code"]) == (413, "image_too_large")
    assert start(api, gallery, image=b"x" * 1000).status_code == 202


# -- async --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
async def test_searches_run_on_the_event_loop(user: User, gallery: Gallery, face_search: FakeFaceSearch) -> None:
    client = AsyncClient()
    await client.aforce_login(user)
    face_search.result = SearchResult(faces=())
    response = await client.post(f"/api/v1/galleries/{gallery.id}/searches?wait=1", {"image": upload()})
    assert response.status_code == 200


def test_a_result_may_be_older_than_its_faces_rows(api: Client, gallery: Gallery, face_search: FakeFaceSearch) -> None:
    photo = add_indexed_photo(gallery)
    face_search.result = answer_with(photo)
    photo.faces.all().delete()
    (face,) = start(api, gallery, "?wait=1").json()["faces"]
    assert len(face["matches"]) == 1

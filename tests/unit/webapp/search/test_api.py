"""The search API: tickets, statuses, waiting, and query images that stay in memory."""

import asyncio
import tempfile
import uuid
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from tasks.messages.answers import SeenFace
from tasks.messages.base import BoxInfo, ErrorInfo
from tasks.messages.search import FaceMatches, Match, SearchResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo, upload
from webapp.accounts.callers import Caller
from webapp.gallery.models import Gallery, Photo
from webapp.gallery.services import gallery_create
from webapp.http.problems import Problem
from webapp.indexing import deleting
from webapp.people.moving import photos_move
from webapp.search import services as search_services
from webapp.search import tickets
from webapp.search.tickets import Ticket, ticket_from
from worker.reasons import Reason
from worker.recognition.certainty import certainties

#: A face of a query image.
SEEN = SeenFace(
    box=BoxInfo(left=1, top=2, right=3, bottom=4),
    landmarks=((1, 2), (2, 2), (1, 3), (1, 4), (2, 4)),
    score=0.9,
    quality=0.8,
)


def answer_with(*photos: Photo) -> SearchResult:
    """A result with one face that matches the first face of each photo."""
    matches = tuple(
        Match(face_id=str(photo.faces.get().id), photo_id=str(photo.id), similarity=0.9 - number / 10)
        for number, photo in enumerate(photos)
    )
    face = FaceMatches(face=SEEN, matches=matches)
    return SearchResult(faces=(face,), certainties=certainties(0.5), width=100, height=80)


@pytest.fixture
def api(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def start(client: Client, gallery: Gallery, query: str = "", image: bytes = b"picture") -> Any:
    return client.post(f"/api/v1/galleries/{gallery.id}/searches{query}", {"image": upload(image)})


# -- statuses -----------------------------------------------------------------------------------------------


def test_a_search_is_accepted_with_a_ticket(api: Client, gallery: Gallery, face_search: MemorySearchClient) -> None:
    response = start(api, gallery, "?limit=3&min_similarity=0.4")
    assert response.status_code == 202
    assert response["Location"] == "/api/v1/searches/" + quote(response.json()["ticket"])
    (sent,) = face_search.started
    assert sent.query == b"picture"
    assert (sent.gallery_ids, sent.limit, sent.min_similarity) == ((str(gallery.id),), 3, 0.4)
    assert face_search.waited == [], "a search that does not wait does not ask"


def test_a_held_search_answers_with_its_matches(api: Client, gallery: Gallery, face_search: MemorySearchClient) -> None:
    photo = add_indexed_photo(gallery)
    face_search.result = answer_with(photo)
    response = start(api, gallery, "?wait=5")
    assert response.status_code == 200
    assert response.json() == {
        "faces": [
            {
                "box": {"left": 1, "top": 2, "right": 3, "bottom": 4},
                "landmarks": [[1, 2], [2, 2], [1, 3], [1, 4], [2, 4]],
                "score": 0.9,
                "quality": 0.8,
                "matches": [
                    {
                        "photo": "ada.jpg",
                        "photo_id": str(photo.id),
                        "gallery_id": str(gallery.id),
                        "face_id": str(photo.faces.get().id),
                        "similarity": 0.9,
                        "certainty": "very_likely",
                        "person": None,
                        "person_id": None,
                    }
                ],
                "reason": None,
            }
        ],
        "rejected": [],
        "reason": None,
        "width": 100,
        "height": 80,
    }
    assert face_search.waited == [5]


def test_an_answer_can_be_fetched_later(api: Client, gallery: Gallery, face_search: MemorySearchClient) -> None:
    address = start(api, gallery, "?wait=1")["Location"]
    assert api.get(address).status_code == 202
    face_search.result = SearchResult(reason=Reason("no_face", "There is no face."))
    response = api.get(address + "?wait=2")
    assert response.status_code == 200
    assert response.json() == {
        "faces": [],
        "rejected": [],
        "reason": {"code": "no_face", "message": "There is no face.", "best_similarity": None},
        "width": None,
        "height": None,
    }


def test_nobody_waits_longer_than_is_allowed(
    api: Client, gallery: Gallery, face_search: MemorySearchClient, settings: Any
) -> None:
    settings.SEARCH_MAX_WAIT_SECONDS = 7.0
    start(api, gallery, "?wait=1000")
    assert face_search.waited == [7.0]


def test_a_search_nobody_answered_has_expired(
    api: Client, gallery: Gallery, face_search: MemorySearchClient, settings: Any
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
        ("search_expired", 504, False),
        ("internal", 500, False),
    ],
)
def test_each_error_has_a_fitting_status(
    api: Client, gallery: Gallery, face_search: MemorySearchClient, code: str, status: int, retries: bool
) -> None:
    face_search.result = SearchResult(error=ErrorInfo(code=code, message="One sentence."))
    response = start(api, gallery, "?wait=1")
    assert (response.status_code, response.json()["code"], response.json()["detail"]) == (status, code, "One sentence.")
    assert response.has_header("Retry-After") == retries


def test_a_queue_that_is_down_says_when_to_come_back(
    api: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    face_search.is_down = True
    response = start(api, gallery)
    assert (response.status_code, response.json()["code"]) == (503, "queue_unavailable")
    assert int(response["Retry-After"]) > 0


@pytest.mark.parametrize("query", ["?limit=0", "?limit=1001", "?min_similarity=2", "?wait=-1", "?wait=x"])
def test_a_bad_parameter_is_named(api: Client, gallery: Gallery, face_search: MemorySearchClient, query: str) -> None:
    response = start(api, gallery, query)
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_request"
    assert response.json()["detail"].startswith(query[1:].split("=")[0])


def test_a_search_needs_an_image(api: Client, gallery: Gallery, face_search: MemorySearchClient) -> None:
    response = api.post(f"/api/v1/galleries/{gallery.id}/searches")
    assert (response.status_code, response.json()["code"]) == (400, "image_missing")


# -- several galleries --------------------------------------------------------------------------------------


@pytest.fixture
def second_gallery(user: User) -> Gallery:
    return gallery_create(owner=user, name="Family")


def start_everywhere(client: Client, query: str = "") -> Any:
    return client.post(f"/api/v1/searches{query}", {"image": upload()})


def test_without_a_gallery_all_that_the_user_may_see_are_searched(
    api: Client, gallery: Gallery, second_gallery: Gallery, their_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    assert start_everywhere(api).status_code == 202
    (sent,) = face_search.started
    assert set(sent.gallery_ids) == {str(gallery.id), str(second_gallery.id)}


def test_only_the_galleries_named_are_searched(
    api: Client, gallery: Gallery, second_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    gallery_create(owner=gallery.owner, name="Work")
    start_everywhere(api, f"?gallery_id={gallery.id}&gallery_id={second_gallery.id}&limit=3")
    (sent,) = face_search.started
    assert set(sent.gallery_ids) == {str(gallery.id), str(second_gallery.id)}
    assert sent.limit == 3


def test_matches_from_several_galleries_say_which(
    api: Client, gallery: Gallery, second_gallery: Gallery, their_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    photos = [add_indexed_photo(each, content=b"1") for each in (gallery, their_gallery, second_gallery)]
    face_search.result = answer_with(*photos)
    response = start_everywhere(api, "?wait=1")
    assert response.status_code == 200
    (face,) = response.json()["faces"]
    assert [match["gallery_id"] for match in face["matches"]] == [str(gallery.id), str(second_gallery.id)]


def test_one_gallery_of_a_stranger_among_the_named_ones_is_not_found(
    api: Client, gallery: Gallery, their_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    response = start_everywhere(api, f"?gallery_id={gallery.id}&gallery_id={their_gallery.id}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert face_search.started == []


def test_a_user_without_galleries_has_nothing_to_search(api: Client, face_search: MemorySearchClient) -> None:
    response = start_everywhere(api)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert face_search.started == []


def test_a_gallery_deleted_since_is_left_out_of_a_search_in_all(
    api: Client, gallery: Gallery, second_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    photos = [add_indexed_photo(each, content=b"1") for each in (gallery, second_gallery)]
    address = start_everywhere(api)["Location"]
    face_search.result = answer_with(*photos)
    deleting.gallery_delete(gallery=second_gallery)
    (face,) = api.get(address).json()["faces"]
    assert [match["gallery_id"] for match in face["matches"]] == [str(gallery.id)]


def test_a_ticket_for_many_galleries_fits_into_a_url(api: Client, user: User, face_search: MemorySearchClient) -> None:
    galleries = [gallery_create(owner=user, name=str(number)) for number in range(100)]
    query = "&".join(f"gallery_id={gallery.id}" for gallery in galleries)
    address = start_everywhere(api, "?" + query)["Location"]
    assert len(address) < 6000
    assert api.get(address).status_code == 202
    assert start_everywhere(api, f"?{query}&gallery_id={galleries[0].id}").status_code == 422


def test_the_page_of_a_search_in_several_galleries_names_none(
    api: Client, gallery: Gallery, second_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    ticket = start_everywhere(api).json()["ticket"]
    face_search.result = answer_with(add_indexed_photo(second_gallery))
    page = api.get(f"/searches/{ticket}/").content.decode()
    assert "Matches in your galleries" in page
    assert "ada.jpg" in page


# -- who may see what ---------------------------------------------------------------------------------------


def test_without_a_session_nothing_is_answered(gallery: Gallery, face_search: MemorySearchClient) -> None:
    response = start(Client(), gallery)
    assert (response.status_code, response.json()["code"]) == (401, "not_logged_in")
    assert face_search.started == []


def test_a_search_needs_the_csrf_token(user: User, gallery: Gallery, face_search: MemorySearchClient) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    response = start(client, gallery)
    assert (response.status_code, response.json()["code"]) == (403, "csrf")
    client.get("/")
    token = client.cookies["csrftoken"].value
    address = f"/api/v1/galleries/{gallery.id}/searches"
    assert client.post(address, {"image": upload()}, headers={"X-CSRFToken": token}).status_code == 202
    assert client.post(address, {"image": upload(), "csrfmiddlewaretoken": token}).status_code == 202


def test_a_strangers_gallery_is_not_found(api: Client, their_gallery: Gallery, face_search: MemorySearchClient) -> None:
    response = start(api, their_gallery)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert face_search.started == []


def test_a_strangers_search_is_not_found(
    api: Client, gallery: Gallery, stranger: User, face_search: MemorySearchClient
) -> None:
    address = start(api, gallery)["Location"]
    thief = Client()
    thief.force_login(stranger)
    assert thief.get(address).status_code == 404
    assert api.get(address).status_code == 202


def test_the_answer_of_a_gallery_deleted_since_is_not_found(
    api: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    address = start(api, gallery)["Location"]
    deleting.gallery_delete(gallery=gallery)
    assert api.get(address).status_code == 404


def test_deleted_photos_and_those_of_other_galleries_are_dropped(
    api: Client, gallery: Gallery, their_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    kept = add_indexed_photo(gallery, content=b"1", name="kept.jpg")
    deleted = add_indexed_photo(gallery, content=b"2")
    theirs = add_indexed_photo(their_gallery, content=b"3")
    face_search.result = answer_with(deleted, theirs, kept)
    deleting.photos_delete(gallery=gallery, photo_ids=[deleted.id])
    (face,) = start(api, gallery, "?wait=1").json()["faces"]
    assert [match["photo"] for match in face["matches"]] == ["kept.jpg"]


def test_a_photo_that_is_moving_is_found_in_neither_gallery(
    api: Client, user: User, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    photo = add_indexed_photo(gallery)
    target = gallery_create(owner=user, name="Family")
    photos_move(source=gallery, target=target, photo_ids=[photo.id])
    face_search.result = answer_with(photo)  # its vectors are where it was, for a moment
    answer = api.post("/api/v1/searches?wait=1", {"image": upload()})
    assert [face["matches"] for face in answer.json()["faces"]] == [[]]


# -- tickets ------------------------------------------------------------------------------------------------


TICKET = Ticket(
    search_id=str(uuid.uuid4()), user_id="7", gallery_ids=(str(uuid.uuid4()),), started=1.0, timeout_seconds=30.0
)


@pytest.mark.parametrize("gallery_ids", [(), ("1", "2"), pytest.param(None, id="all galleries")])
def test_a_signed_ticket_is_read_back(gallery_ids: tuple[str, ...] | None) -> None:
    ticket = replace(TICKET, gallery_ids=gallery_ids)
    assert ticket_from(ticket.to_token(), user_id=7) == ticket


@pytest.mark.parametrize("token", ["", "x", "a:b:c", pytest.param(TICKET.search_id, id="the bare search id")])
def test_something_that_is_no_ticket_is_not_found(token: str) -> None:
    with pytest.raises(Problem, match="no such search"):
        ticket_from(token, user_id=7)


def test_a_search_is_cancelled_by_its_owner_only(
    api: Client, stranger: User, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    address = start(api, gallery)["Location"]
    thief = Client()
    thief.force_login(stranger)
    assert thief.delete(address).status_code == 404
    assert face_search.cancelled == []
    assert api.delete(address).status_code == 204
    assert len(face_search.cancelled) == 1


async def test_a_search_whose_client_goes_away_is_cancelled(
    user: User, monkeypatch: pytest.MonkeyPatch, face_search: MemorySearchClient
) -> None:
    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(face_search, "wait_for_answer", never)
    ticket = replace(TICKET, search_id="s")
    held = asyncio.create_task(search_services.search_held(ticket=ticket, caller=Caller(user=user), wait_seconds=5))
    await asyncio.sleep(0)
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    assert face_search.cancelled == ["s"]


def test_a_search_counts_for_the_share_of_the_user_who_asks(
    api: Client, user: User, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    assert start(api, gallery).status_code == 202
    assert face_search.started[0].client == f"user:{user.pk}"


def test_a_user_with_a_full_share_is_told_when_to_return(
    api: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    face_search.most_in_flight = 2
    assert start(api, gallery).status_code == 202
    refused = start(api, gallery)
    assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (503, "busy", "2")


def test_a_ticket_signed_with_another_secret_is_not_found(settings: Any) -> None:
    token = TICKET.to_token()
    settings.SECRET_KEY = "another" * 10
    with pytest.raises(Problem, match="no such search"):
        ticket_from(token, user_id=7)


def test_a_value_signed_for_another_purpose_is_not_found() -> None:
    from django.core import signing

    for forged in (signing.dumps({"user_id": "7"}, salt=tickets._SALT), signing.dumps({"user_id": "7"})):
        with pytest.raises(Problem, match="no such search"):
            ticket_from(forged, user_id=7)


# -- memory only --------------------------------------------------------------------------------------------


def test_a_query_image_larger_than_djangos_default_stays_in_memory(
    api: Client, gallery: Gallery, face_search: MemorySearchClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a query image was written to a file")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", forbidden)
    monkeypatch.setattr("django.core.files.uploadedfile.tempfile.NamedTemporaryFile", forbidden)
    image = b"x" * (4 * 2**20)
    assert start(api, gallery, image=image).status_code == 202
    assert face_search.started[0].query == image


def test_a_query_image_that_is_too_large_is_refused(
    api: Client, gallery: Gallery, face_search: MemorySearchClient, settings: Any
) -> None:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"MAX_IMAGE_BYTES": 1000}
    response = start(api, gallery, image=b"x" * 1001)
    assert (response.status_code, response.json()["code"]) == (413, "image_too_large")
    assert start(api, gallery, image=b"x" * 1000).status_code == 202


# -- async --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
async def test_searches_run_on_the_event_loop(user: User, gallery: Gallery, face_search: MemorySearchClient) -> None:
    client = AsyncClient()
    await client.aforce_login(user)
    face_search.result = SearchResult(faces=())
    response = await client.post(f"/api/v1/galleries/{gallery.id}/searches?wait=1", {"image": upload()})
    assert response.status_code == 200


def test_a_result_may_be_older_than_its_faces_rows(
    api: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    photo = add_indexed_photo(gallery)
    face_search.result = answer_with(photo)
    photo.faces.all().delete()
    (face,) = start(api, gallery, "?wait=1").json()["faces"]
    assert len(face["matches"]) == 1

"""Searching by a face of a photo: over the API and from the photo's page."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tasks.messages.base import ErrorInfo
from tasks.messages.search import FaceMatches, Match, SearchResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo, upload
from webapp.accounts.callers import Scope
from webapp.accounts.keys import key_create
from webapp.gallery.models import Face, Gallery, Level, Member
from webapp.gallery.services import gallery_create
from webapp.indexing import deleting
from worker.reasons import empty_gallery


@pytest.fixture
def api(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def face(gallery: Gallery) -> Face:
    return add_indexed_photo(gallery, content=b"asked").faces.get()


def start(client: Client, face_id: object, address: str = "/api/v1/searches", **form: Any) -> Any:
    return client.post(address, {"face_id": str(face_id), **form})


def matching(*faces: Face) -> SearchResult:
    matches = tuple(Match(face_id=str(face.id), photo_id=str(face.photo_id), similarity=0.9) for face in faces)
    return SearchResult(faces=(FaceMatches(face=None, matches=matches, reason=None),))


NOTHING = SearchResult(faces=(FaceMatches(face=None, matches=(), reason=empty_gallery()),), reason=empty_gallery())


def test_all_galleries_are_searched_by_the_face(
    api: Client, face: Face, gallery: Gallery, their_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    second = gallery_create(owner=gallery.owner, name="Family")
    response = start(api, face.id, "/api/v1/searches?limit=3&min_similarity=0.4")
    assert response.status_code == 202
    [sent] = face_search.started
    assert sent.query == face.id
    assert set(sent.gallery_ids) == {str(gallery.id), str(second.id)}
    assert (sent.limit, sent.min_similarity) == (3, 0.4)


def test_one_gallery_is_searched_by_a_face_of_another(
    api: Client, face: Face, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    second = gallery_create(owner=gallery.owner, name="Family")
    assert start(api, face.id, f"/api/v1/galleries/{second.id}/searches").status_code == 202
    assert face_search.started[0].gallery_ids == (str(second.id),)


def test_the_answer_shows_the_face_as_its_row_does(
    api: Client, face: Face, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    other = add_indexed_photo(gallery, content=b"found", name="found.jpg").faces.get()
    face_search.result = matching(other)
    answer = start(api, face.id, "/api/v1/searches?wait=1").json()
    [shown] = answer["faces"]
    assert shown["box"] == {"left": face.left, "top": face.top, "right": face.right, "bottom": face.bottom}
    assert (shown["landmarks"], shown["score"], shown["quality"]) == (face.landmarks, face.score, face.quality)
    assert [match["face_id"] for match in shown["matches"]] == [str(other.id)]
    assert (answer["reason"], answer["width"], answer["height"]) == (None, 640, 480)


def test_a_face_without_matches_has_a_reason(api: Client, face: Face, face_search: MemorySearchClient) -> None:
    face_search.result = NOTHING
    answer = start(api, face.id, "/api/v1/searches?wait=1").json()
    assert answer["reason"]["code"] == "empty_gallery"
    assert answer["faces"][0]["reason"] == answer["reason"]


def test_a_face_that_nobody_may_see_is_not_found(
    api: Client, gallery: Gallery, their_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    theirs = add_indexed_photo(their_gallery).faces.get()
    for face_id in (theirs.id, uuid.uuid4()):
        response = start(api, face_id)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        response = start(api, face_id, f"/api/v1/galleries/{gallery.id}/searches")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        assert api.post(f"/faces/{face_id}/search/").status_code == 404
    assert face_search.started == []


def test_a_key_searches_by_faces_of_its_galleries_only(
    user: User, face: Face, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    second = gallery_create(owner=user, name="Family")
    for allowed, status in ((gallery, 202), (second, 404)):
        _, token = key_create(user=user, name=allowed.name, scopes={Scope.SEARCH}, galleries=[allowed])
        response = start(Client(headers={"Authorization": f"Bearer {token}"}), face.id)
        assert response.status_code == status
    [sent] = face_search.started
    assert sent.gallery_ids == (str(gallery.id),)


def test_viewing_is_enough_to_search_by_a_face_of_a_shared_gallery(
    user: User, api: Client, their_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    shared = add_indexed_photo(their_gallery).faces.get()
    member = Member.objects.create(gallery=their_gallery, user=user, level=Level.VIEWER)
    address = start(api, shared.id)["Location"]
    assert api.get(address).status_code == 202
    face_search.result = NOTHING
    member.delete()
    assert api.get(address).status_code == 404


def test_the_answer_of_a_face_deleted_since_is_not_found(
    api: Client, face: Face, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    address = start(api, face.id)["Location"]
    face_search.result = NOTHING
    deleting.photos_delete(gallery=gallery, photo_ids=[face.photo_id])
    response = api.get(address)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_face_that_the_active_model_does_not_find_cannot_be_searched_by(
    api: Client, face: Face, face_search: MemorySearchClient
) -> None:
    face.generations.clear()
    response = start(api, face.id)
    assert (response.status_code, response.json()["code"]) == (409, "face_not_indexed")
    assert face_search.started == []


def test_a_face_whose_embedding_has_just_gone_says_so(api: Client, face: Face, face_search: MemorySearchClient) -> None:
    face_search.result = SearchResult(error=ErrorInfo(code="face_not_indexed", message="It is gone."))
    response = start(api, face.id, "/api/v1/searches?wait=1")
    assert (response.status_code, response.json()["code"]) == (409, "face_not_indexed")


def test_a_search_has_either_an_image_or_a_face(api: Client, face: Face, face_search: MemorySearchClient) -> None:
    for form in ({"face_id": str(face.id), "image": upload()}, {"face_id": "x"}, {"image": "photo.jpg"}):
        response = api.post("/api/v1/searches", form)
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request"), form
    assert face_search.started == []


# -- from the photo's page ----------------------------------------------------------------------------------


def test_a_photos_page_offers_to_find_each_face_that_can_be_found(api: Client, face: Face) -> None:
    address = f'action="/faces/{face.id}/search/"'
    assert address in api.get(f"/photos/{face.photo_id}/").content.decode()
    face.generations.clear()
    assert address not in api.get(f"/photos/{face.photo_id}/").content.decode()


def test_finding_a_face_leads_to_its_matches(
    api: Client, face: Face, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    second = gallery_create(owner=gallery.owner, name="Family & friends")
    face_search.result = matching(add_indexed_photo(second, name="found.jpg").faces.get())
    response = api.post(f"/faces/{face.id}/search/")
    assert response.status_code == 302
    shown = api.get(response["Location"]).content.decode()
    assert "Matches in your galleries" in shown
    assert "found.jpg" in shown
    assert "Family &amp; friends" in shown, "several galleries were searched, so each match says where it is"
    assert f'href="/photos/{face.photo_id}/?face={face.id}"' in shown
    assert f'href="/search/?face={face.id}"' in shown


def test_finding_a_face_takes_a_post_with_the_token(user: User, face: Face, face_search: MemorySearchClient) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.get(f"/faces/{face.id}/search/").status_code == 405
    assert client.post(f"/faces/{face.id}/search/").status_code == 403
    assert face_search.started == []


def test_finding_a_face_while_the_queue_is_down_says_so(
    api: Client, face: Face, face_search: MemorySearchClient
) -> None:
    face_search.is_down = True
    response = api.post(f"/faces/{face.id}/search/")
    assert response.status_code == 503
    assert "The queue does not answer." in response.content.decode()

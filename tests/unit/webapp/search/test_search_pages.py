"""The pages of searches: where to search, what the slider shows, and naming the ticked matches."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tasks.messages.search import FaceMatches, Match, SearchResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo, upload
from tests.unit.webapp.search.test_api import SEEN
from webapp.gallery.models import Face, Gallery, Level, Member, Photo
from webapp.gallery.services import gallery_create
from webapp.people.models import Person
from worker.reasons import empty_gallery
from worker.recognition.certainty import certainties

#: Its words begin at 0.8, 0.83 and 0.86; its slider reaches down to 0.7.
CERTAINTIES = certainties(0.8)


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def second(user: User) -> Gallery:
    return gallery_create(owner=user, name="Family")


def matching(*matches: tuple[Face, float]) -> SearchResult:
    found = tuple(
        Match(face_id=str(face.id), photo_id=str(face.photo_id), similarity=similarity) for face, similarity in matches
    )
    face = FaceMatches(face=SEEN, matches=found)
    return SearchResult(faces=(face,), certainties=CERTAINTIES, width=100, height=80)


def new_face(gallery: Gallery, number: int = 0) -> Face:
    return add_indexed_photo(gallery, content=f"{gallery}{number}".encode(), name=f"photo-{number}.jpg").faces.get()


def result_address(page: Client, gallery: Gallery) -> str:
    response = page.post(f"/galleries/{gallery.id}/search/", {"image": upload()})
    assert response.status_code == 302
    return str(response["Location"])


def tiles(text: str) -> dict[str, bool]:
    """Return whether each match of a page is shown, by its similarity."""
    return {
        found[2]: not found[1] for found in re.finditer(r'<li class="match"( hidden)? data-similarity="([\d.]+)"', text)
    }


# -- where --------------------------------------------------------------------------------------------------


def test_the_search_page_offers_all_galleries_that_one_may_see(
    page: Client, gallery: Gallery, second: Gallery, their_gallery: Gallery
) -> None:
    text = page.get(f"/search/?gallery={second.id}").content.decode()
    assert f'name="gallery" value="{gallery.id}">' in text
    assert f'name="gallery" value="{second.id}" checked>' in text
    assert their_gallery.name not in text


def test_ticked_galleries_are_searched_and_without_a_tick_all(
    page: Client, gallery: Gallery, second: Gallery, face_search: MemorySearchClient
) -> None:
    assert page.post("/search/", {"image": upload(), "gallery": [str(second.id)]}).status_code == 302
    assert page.post("/search/", {"image": upload()}).status_code == 302
    some, both = face_search.started
    assert some.gallery_ids == (str(second.id),)
    assert set(both.gallery_ids) == {str(gallery.id), str(second.id)}


@pytest.mark.parametrize("gallery_id", ["x", "{theirs}"])
def test_a_gallery_that_one_may_not_see_is_not_searched(
    page: Client, gallery: Gallery, their_gallery: Gallery, face_search: MemorySearchClient, gallery_id: str
) -> None:
    form = {"image": upload(), "gallery": [str(gallery.id), gallery_id.format(theirs=their_gallery.id)]}
    response = page.post("/search/", form)
    assert response.status_code == 404
    assert "There is no such gallery." in response.content.decode()
    assert face_search.started == []


def test_some_galleries_are_searched_by_a_face_of_a_photo(
    page: Client, gallery: Gallery, second: Gallery, face_search: MemorySearchClient
) -> None:
    face = new_face(gallery)
    assert f'name="face" value="{face.id}"' in page.get(f"/search/?face={face.id}").content.decode()
    assert page.post("/search/", {"face": str(face.id), "gallery": [str(second.id)]}).status_code == 302
    [sent] = face_search.started
    assert (sent.query, sent.gallery_ids) == (face.id, (str(second.id),))


@pytest.mark.parametrize("face", ["x", "{theirs}"])
def test_a_face_that_one_may_not_see_is_not_searched_for(
    page: Client, gallery: Gallery, their_gallery: Gallery, face_search: MemorySearchClient, face: str
) -> None:
    face = face.format(theirs=new_face(their_gallery).id)
    assert page.get("/search/", {"face": face}).status_code == 404
    assert page.post("/search/", {"face": face}).status_code == 404
    assert face_search.started == []


def test_the_page_for_all_galleries_checks_csrf(user: User, gallery: Gallery, face_search: MemorySearchClient) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post("/search/", {"image": upload()}).status_code == 403
    client.get("/search/")
    form = {"image": upload(), "csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    assert client.post("/search/", form).status_code == 302


# -- what is shown ------------------------------------------------------------------------------------------


def test_matches_are_faces_with_words_and_less_similar_ones_wait_behind_the_slider(
    page: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    faces = [new_face(gallery, number) for number in range(5)]
    Face.objects.filter(id=faces[0].id).update(crop="c" * 16)
    face_search.result = matching(*zip(faces, (0.9, 0.84, 0.81, 0.75, 0.4), strict=True))
    text = page.get(result_address(page, gallery)).content.decode()
    [sent] = face_search.started
    assert (sent.limit, sent.min_similarity) == (60, -1.0)
    assert tiles(text) == {"0.9": True, "0.84": True, "0.81": True, "0.75": False}
    assert f'src="/faces/{faces[0].id}/crop/{"c" * 16}.jpg"' in text
    assert re.findall(r'<p class="certainty \w+">([^<]*)</p>', text) == [
        "very likely the same person",
        "likely the same person",
        "possibly the same person",
        "probably somebody else",
    ]
    assert 'min="0.70" max="1" step="0.01" value="0.80"' in text
    assert "<span data-count>3</span>" in text
    assert "data-reached>all faces that are possibly the same person<" in text


def test_the_slider_works_without_javascript(page: Client, gallery: Gallery, face_search: MemorySearchClient) -> None:
    faces = [new_face(gallery, number) for number in range(3)]
    face_search.result = matching(*zip(faces, (0.9, 0.81, 0.75), strict=True))
    address = result_address(page, gallery)
    for least, shown in (
        ("0.85", [True, False, False]),
        ("0.7", [True, True, True]),
        ("-1", [True, True, True]),
        ("1", [False, False, False]),
        ("x", [True, True, False]),
        ("nan", [True, True, False]),
        ("7", [True, True, False]),
    ):
        text = page.get(f"{address}?least={least}").content.decode()
        assert list(tiles(text).values()) == shown, least


def test_a_page_without_a_similar_face_says_so_and_offers_the_most_similar(
    page: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    face_search.result = matching((new_face(gallery), 0.75))
    text = page.get(result_address(page, gallery)).content.decode()
    assert '<p class="empty" data-none>No face there is similar enough.' in text
    assert '<div class="naming" data-names hidden>' in text, "nothing is shown that could be named"
    assert tiles(text) == {"0.75": False}


def test_an_empty_gallery_has_no_slider(page: Client, gallery: Gallery, face_search: MemorySearchClient) -> None:
    nothing = FaceMatches(face=SEEN, matches=(), reason=empty_gallery())
    face_search.result = SearchResult(faces=(nothing,), certainties=CERTAINTIES, width=100, height=80)
    text = page.get(result_address(page, gallery)).content.decode()
    assert "There is no face there to compare with." in text
    assert 'type="range"' not in text


def test_of_several_faces_one_is_chosen_by_links(
    page: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    one = matching((new_face(gallery), 0.9))
    face_search.result = one.model_copy(update={"faces": one.faces * 2})
    text = page.get(result_address(page, gallery)).content.decode()
    for number in (1, 2):
        assert f'<a href="#face-{number}">Face {number}</a>' in text
        assert f'id="face-{number}"' in text


# -- naming -------------------------------------------------------------------------------------------------


def test_ticked_matches_get_a_name_in_their_galleries(
    page: Client, gallery: Gallery, second: Gallery, face_search: MemorySearchClient
) -> None:
    faces = [new_face(gallery), new_face(second), new_face(gallery, 1)]
    face_search.result = matching(*((face, 0.9) for face in faces))
    response = page.post("/search/", {"image": upload()})
    address = response["Location"]
    assert page.get(address).content.decode().count('type="checkbox" name="face"') == 3
    form = {"face": [str(face.id) for face in faces[:2]], "name": " Ada ", "least": "0.85"}
    response = page.post(f"{address}name/", form)
    assert response["Location"] == f"{address}?least=0.85"
    assert [Face.objects.get(id=face.id).person for face in faces] == [
        Person.objects.get(gallery=gallery, name="Ada"),
        Person.objects.get(gallery=second, name="Ada"),
        None,
    ]
    text = page.get(address).content.decode()
    assert "2 faces named." in text
    assert text.count('<p class="person">Ada</p>') == 2


def test_a_viewer_ticks_and_names_nothing(
    page: Client, user: User, gallery: Gallery, their_gallery: Gallery, face_search: MemorySearchClient
) -> None:
    Member.objects.create(gallery=their_gallery, user=user, level=Level.VIEWER)
    theirs, own = new_face(their_gallery), new_face(gallery)
    face_search.result = matching((theirs, 0.9), (own, 0.8))
    address = page.post("/search/", {"image": upload()})["Location"]
    text = page.get(address).content.decode()
    assert f'name="face" value="{own.id}"' in text
    assert f'name="face" value="{theirs.id}"' not in text
    text = page.post(f"{address}name/", {"face": [theirs.id, own.id], "name": "Ada"}, follow=True).content.decode()
    assert "1 face named." in text
    assert "1 not named" in text
    assert [person.gallery for person in Person.objects.all()] == [gallery]


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"name": "Ada"}, "Please tick at least one match."),
        ({"face": ["x"], "name": "Ada"}, "There is no such face."),
        ({"face": ["{face}"], "name": ""}, "1 to 100 characters"),
    ],
)
def test_what_cannot_be_named_is_said(
    page: Client, gallery: Gallery, face_search: MemorySearchClient, form: dict[str, Any], sentence: str
) -> None:
    face = new_face(gallery)
    face_search.result = matching((face, 0.9))
    address = result_address(page, gallery)
    filled = form | {"face": [each.format(face=face.id) for each in form.get("face", [])]}
    assert sentence in page.post(f"{address}name/", filled, follow=True).content.decode()
    assert Person.objects.count() == 0


def test_a_face_that_is_gone_by_now_is_left_out(
    page: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    face, gone = new_face(gallery), new_face(gallery, 1)
    face_search.result = matching((face, 0.9))
    address = result_address(page, gallery)
    Photo.objects.filter(id=gone.photo_id).update(state=Photo.State.DELETING)
    page.post(f"{address}name/", {"face": [face.id, gone.id], "name": "Ada"})
    assert [each.id for each in Face.objects.exclude(person=None)] == [face.id]


def test_another_users_result_names_nothing(
    page: Client, gallery: Gallery, stranger: User, face_search: MemorySearchClient
) -> None:
    face = new_face(gallery)
    face_search.result = matching((face, 0.9))
    address = result_address(page, gallery)
    thief = Client()
    thief.force_login(stranger)
    assert thief.post(f"{address}name/", {"face": [face.id], "name": "Mine"}).status_code == 404
    assert Person.objects.count() == 0

"""People: naming faces, and what of a photo's faces is shown while the model changes."""

import io
import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo, face_info, indexed, upload
from tests.unit.webapp.search.test_api import answer_with
from webapp.gallery.models import Face, Gallery, Photo
from webapp.generations import faces as selectors
from webapp.generations.models import Generation
from webapp.generations.selectors import active_generation
from webapp.http.problems import Problem
from webapp.indexing import deleting, recording
from webapp.people import services as people
from webapp.people.models import Person
from webapp.people.moving import photos_move
from webapp.people.selectors import people_of

State = Generation.State


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def named(gallery: Gallery, name: str = "Ada", content: bytes = b"picture") -> Face:
    face = add_indexed_photo(gallery, content=content).faces.get()
    people.face_name(face=face, name=name)
    face.refresh_from_db()
    return face


def put(client: Client, face: Face, name: str) -> Any:
    return client.put(f"/api/v1/faces/{face.id}/person", {"name": name}, content_type="application/json")


# -- naming -------------------------------------------------------------------------------------------------


def test_the_first_face_of_a_name_makes_a_person_and_others_join_it(gallery: Gallery) -> None:
    one, two = named(gallery, "Ada  Lovelace "), named(gallery, "Ada Lovelace", b"2")
    assert one.person == two.person == Person.objects.get(gallery=gallery, name="Ada Lovelace")


def test_a_name_in_two_normal_forms_is_one_person(gallery: Gallery) -> None:
    composed, decomposed = named(gallery, "Ren\u00e9"), named(gallery, "Rene\u0301", b"2")
    assert composed.person == decomposed.person == Person.objects.get(gallery=gallery, name="Ren\u00e9")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("\u202e", "person_name"),
        ("\u200d", "person_name"),
        ("\x1f\x7f", "person_name"),
        ("Ada\x00", "bad_characters"),
        ("\ud800", "bad_characters"),
    ],
)
def test_a_name_that_nobody_sees_is_refused_and_clears_nothing(
    page: Client, gallery: Gallery, name: str, code: str
) -> None:
    face = named(gallery)
    response = put(page, face, name)
    assert (response.status_code, response.json()["code"]) == (400, code)
    face.refresh_from_db()
    assert face.person is not None


def test_the_same_name_in_another_gallery_is_another_person(gallery: Gallery, their_gallery: Gallery) -> None:
    assert named(gallery).person_id != named(their_gallery).person_id


def test_an_empty_name_takes_it_away_and_a_person_without_faces_goes(gallery: Gallery) -> None:
    one, two = named(gallery), named(gallery, content=b"2")
    assert people.face_name(face=one, name=" ") is None
    assert Person.objects.get().faces.get() == two
    people.face_name(face=two, name="Grace")
    assert [person.name for person in Person.objects.all()] == ["Grace"]


def test_a_name_goes_with_the_last_photo_of_its_person(gallery: Gallery) -> None:
    face = named(gallery)
    deleting.photos_delete(gallery=gallery, photo_ids=[face.photo_id])
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[face.photo_id])
    assert not people_of(gallery).exists()
    people.faceless_people_delete()
    assert not Person.objects.exists()


def test_a_person_whose_last_face_is_gone_cannot_be_renamed(page: Client, gallery: Gallery) -> None:
    face = named(gallery)
    deleting.photos_delete(gallery=gallery, photo_ids=[face.photo_id])
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[face.photo_id])
    address = f"/api/v1/people/{face.person_id}"
    assert page.patch(address, {"name": "Grace"}, content_type="application/json").status_code == 404


def test_a_name_whose_last_face_is_gone_may_be_given_at_once(gallery: Gallery) -> None:
    gone, grace = named(gallery), named(gallery, "Grace", b"2").person
    deleting.photos_delete(gallery=gallery, photo_ids=[gone.photo_id])
    deleting.removals_record(gallery_id=gallery.id, photo_ids=[gone.photo_id])
    assert grace is not None
    people.person_rename(person=grace, name="Ada Lovelace")
    assert [person.name for person in people_of(gallery)] == ["Ada Lovelace"]


def test_a_name_that_is_too_long_is_refused(gallery: Gallery) -> None:
    face = add_indexed_photo(gallery).faces.get()
    with pytest.raises(Problem, match="1 to 100 characters"):
        people.face_name(face=face, name="x" * 101)


def test_naming_a_face_that_has_just_gone_leaves_no_person(gallery: Gallery) -> None:
    face = add_indexed_photo(gallery).faces.get()
    Face.objects.filter(id=face.id).delete()
    with pytest.raises(Problem) as caught:
        people.face_name(face=face, name="Ada")
    assert caught.value.code == "not_found"
    assert not Person.objects.exists()


def test_naming_a_face_that_has_just_moved_to_another_gallery_names_nobody(
    gallery: Gallery, their_gallery: Gallery
) -> None:
    face = add_indexed_photo(gallery).faces.get()
    assert face.photo.gallery == gallery  # read before it moves
    photos_move(source=gallery, target=their_gallery, photo_ids=[face.photo_id])
    with pytest.raises(Problem) as caught:
        people.face_name(face=face, name="Ada")
    assert caught.value.code == "not_found"
    assert not Person.objects.exists()


def test_a_person_is_renamed_but_not_to_a_taken_name(gallery: Gallery) -> None:
    person, _ = named(gallery).person, named(gallery, "Grace", b"2")
    assert person is not None
    people.person_rename(person=person, name="Countess")
    for name, code in (("Grace", "person_exists"), (" ", "person_name")):
        with pytest.raises(Problem) as caught:
            people.person_rename(person=person, name=name)
        assert caught.value.code == code
    assert {each.name for each in Person.objects.all()} == {"Countess", "Grace"}


# -- while the model changes --------------------------------------------------------------------------------


def building(state: str = State.BUILDING) -> Generation:
    return Generation.objects.create(pack="other", collection=f"faces_{uuid.uuid4().hex}", state=state)


def record_in(generation: Generation, photo: Photo, *faces: Any) -> None:
    recording.outcomes_record(
        gallery_id=photo.gallery_id, outcomes=[indexed(photo, *faces)], collection=generation.collection
    )


def activate(generation: Generation) -> None:
    Generation.objects.filter(state=State.ACTIVE).update(state=State.RETIRED)
    Generation.objects.filter(pk=generation.pk).update(state=State.ACTIVE)


def shown(photo: Photo) -> dict[str, bool]:
    return {str(face.id): face.is_found for face in selectors.faces_of(photo)}


def face_count(gallery: Gallery) -> int:
    [photo] = selectors.with_face_counts([gallery.photos.get()])
    return photo.face_count


def test_what_only_a_generation_being_built_has_found_is_hidden_until_it_is_searched(gallery: Gallery) -> None:
    both, old, new = (str(uuid.uuid4()) for _ in range(3))
    photo = add_indexed_photo(gallery, face_info(both), face_info(old, left=100))
    generation = building()
    record_in(generation, photo, face_info(both), face_info(new, left=200))
    assert shown(photo) == {both: True, old: True}
    assert face_count(gallery) == 2
    first = active_generation()
    activate(generation)
    assert shown(photo) == {both: True, old: False, new: True}
    assert face_count(gallery) == 2
    activate(first)
    assert shown(photo) == {both: True, old: True, new: False}


def test_a_named_face_keeps_its_name_when_the_new_model_does_not_find_it(page: Client, gallery: Gallery) -> None:
    face = named(gallery)
    generation = building()
    record_in(generation, face.photo)
    activate(generation)
    (listed,) = page.get(f"/api/v1/photos/{face.photo_id}").json()["faces"]
    assert (listed["person"], listed["is_found"]) == ("Ada", False)
    assert "Not detected by the current model" in page.get(f"/photos/{face.photo_id}/").content.decode()
    assert face_count(gallery) == 0


@pytest.mark.parametrize("state", [State.BUILDING, State.READY, State.FAILED])
def test_a_hidden_face_cannot_be_named(page: Client, gallery: Gallery, state: str) -> None:
    photo = add_indexed_photo(gallery)
    generation, new = building(), face_info(left=200)
    record_in(generation, photo, new)
    Generation.objects.filter(pk=generation.pk).update(state=state)
    assert put(page, Face.objects.get(id=new.face_id), "Ada").status_code == 404


# -- the API and the pages ----------------------------------------------------------------------------------


def test_faces_are_named_and_people_listed_by_the_api(page: Client, gallery: Gallery) -> None:
    face = add_indexed_photo(gallery).faces.get()
    answer = put(page, face, "Ada")
    assert answer.status_code == 200
    assert answer.json() == page.get(f"/api/v1/photos/{face.photo_id}").json()["faces"][0]
    assert answer.json()["box"] == {"left": 10.5, "top": 20, "right": 40.5, "bottom": 60}
    assert (answer.json()["person"], answer.json()["is_found"]) == ("Ada", True)
    person_id = answer.json()["person_id"]
    renamed = page.patch(f"/api/v1/people/{person_id}", {"name": "Grace"}, content_type="application/json")
    expected = {"id": person_id, "gallery_id": str(gallery.id), "name": "Grace", "face_count": 1}
    assert renamed.json() == page.get(f"/api/v1/people/{person_id}").json() == expected
    assert page.get(f"/api/v1/faces/{face.id}/person").json() == expected
    assert people_in(page, gallery) == [expected]
    assert put(page, face, "").json()["person"] is None
    assert people_in(page, gallery) == []
    assert page.get(f"/api/v1/faces/{face.id}/person").json()["code"] == "not_found"


def people_in(page: Client, gallery: Gallery, **query: Any) -> list[Any]:
    """All people of the gallery, read in parts of two."""
    items, cursor = [], ""
    while cursor is not None:
        query |= {"limit": 2, "cursor": cursor}
        part = page.get(f"/api/v1/galleries/{gallery.id}/people", query).json()
        items, cursor = items + part["items"], part["next_cursor"]
    return items


def test_people_are_listed_by_name_and_found_by_it(page: Client, gallery: Gallery) -> None:
    for number, name in enumerate(("René", "Ada", "Zoë", "Émile", "Ada")):
        named(gallery, name, bytes([number]))
    listed = people_in(page, gallery)
    assert [each["name"] for each in listed] == sorted({"René", "Ada", "Zoë", "Émile"})
    assert [each["face_count"] for each in listed] == [2, 1, 1, 1]
    (found,) = people_in(page, gallery, name=" Rene\u0301")
    assert found["name"] == "René"
    assert people_in(page, gallery, name="Rene") == people_in(page, gallery, name="\u200b") == []


def test_the_faces_and_photos_of_a_person_are_listed(page: Client, gallery: Gallery) -> None:
    ada = [named(gallery, "Ada", bytes([number])) for number in range(3)]
    named(gallery, "Grace", b"4")
    address = f"/api/v1/people/{ada[0].person_id}"
    faces = page.get(f"{address}/faces").json()["items"]
    assert {each["id"] for each in faces} == {str(each.id) for each in ada}
    assert {each["person"] for each in faces} == {"Ada"}
    first = page.get(f"{address}/photos?limit=2").json()
    second = page.get(f"{address}/photos", {"limit": 2, "cursor": first["next_cursor"]}).json()
    assert second["next_cursor"] is None
    photo_ids = [each["id"] for each in (*first["items"], *second["items"])]
    assert photo_ids == [str(each.photo_id) for each in reversed(ada)]
    deleting.photos_delete(gallery=gallery, photo_ids=[ada[0].photo_id])
    assert len(page.get(f"{address}/faces").json()["items"]) == 2
    assert len(page.get(f"{address}/photos").json()["items"]) == 2


def test_a_face_is_given_to_a_person_by_id(page: Client, gallery: Gallery, their_gallery: Gallery) -> None:
    ada, grace, theirs = named(gallery), named(gallery, "Grace", b"2"), named(their_gallery)
    address = f"/api/v1/faces/{grace.id}/person"

    def given(**body: Any) -> Any:
        return page.put(address, json.dumps(body), content_type="application/json")

    assert given(person_id=str(ada.person_id)).json()["person"] == "Ada"
    assert not Person.objects.filter(name="Grace").exists()
    for nobody in (theirs.person_id, uuid.uuid4()):
        assert given(person_id=str(nobody)).json()["code"] == "not_found"
    for body in ({}, {"name": "Ada", "person_id": str(ada.person_id)}, {"person_id": 5}, {"person_id": "x"}):
        assert given(**body).json()["code"] == "invalid_request"
    grace.refresh_from_db()
    assert grace.person_id == ada.person_id


def test_a_face_is_taken_from_its_person(page: Client, gallery: Gallery) -> None:
    face = named(gallery)
    address = f"/api/v1/faces/{face.id}/person"
    assert page.delete(address).status_code == 204
    assert not Person.objects.exists()
    assert page.delete(address).status_code == 204
    face.refresh_from_db()
    assert face.person is None


def test_a_person_is_deleted_and_their_faces_stay(page: Client, gallery: Gallery) -> None:
    face, _ = named(gallery), named(gallery, "Grace", b"2")
    address = f"/api/v1/people/{face.person_id}"
    assert page.delete(address).status_code == 204
    assert page.get(address).status_code == page.delete(address).status_code == 404
    face.refresh_from_db()
    assert face.person is None
    assert [each["name"] for each in people_in(page, gallery)] == ["Grace"]


def test_the_photos_page_names_a_face_and_suggests_names(page: Client, gallery: Gallery) -> None:
    face = add_indexed_photo(gallery).faces.get()
    shown_page = page.post(f"/faces/{face.id}/name/", {"name": "Ada <1>"}, follow=True).content.decode()
    assert shown_page.count('value="Ada &lt;1&gt;"') == 2  # in the field and among the suggestions
    assert (
        "1 to 100 characters" in page.post(f"/faces/{face.id}/name/", {"name": "x" * 101}, follow=True).content.decode()
    )


def test_another_users_people_are_not_found(page: Client, their_gallery: Gallery) -> None:
    face = named(their_gallery)
    person = {"name": "Mine"}
    answers = [
        page.get(f"/api/v1/galleries/{their_gallery.id}/people"),
        page.get(f"/api/v1/photos/{face.photo_id}"),
        put(page, face, "Mine"),
        page.patch(f"/api/v1/people/{face.person_id}", person, content_type="application/json"),
        page.get(f"/api/v1/people/{face.person_id}"),
        page.delete(f"/api/v1/people/{face.person_id}"),
        page.get(f"/api/v1/people/{face.person_id}/faces"),
        page.get(f"/api/v1/people/{face.person_id}/photos"),
        page.get(f"/api/v1/faces/{face.id}"),
        page.get(f"/api/v1/faces/{face.id}/person"),
        page.delete(f"/api/v1/faces/{face.id}/person"),
        page.post(f"/faces/{face.id}/name/", person),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert [each.name for each in Person.objects.all()] == ["Ada"]


def test_a_search_shows_whose_face_a_match_is(
    page: Client, gallery: Gallery, face_search: MemorySearchClient, tmp_path: Any
) -> None:
    face, other = named(gallery), add_indexed_photo(gallery, content=b"2")
    face_search.result = answer_with(face.photo, other)
    address = f"/api/v1/galleries/{gallery.id}/searches?wait=1"
    matches = page.post(address, {"image": upload()}).json()["faces"][0]["matches"]
    assert [(match["person"], match["person_id"]) for match in matches] == [("Ada", str(face.person_id)), (None, None)]
    result = page.post(f"/galleries/{gallery.id}/search/", {"image": upload()})
    assert '<p class="person">Ada</p>' in page.get(result["Location"]).content.decode()
    picture, out = tmp_path / "query.jpg", io.StringIO()
    picture.write_bytes(b"picture")
    call_command("search_photo", str(picture), "--gallery", gallery.name, "--json", stdout=out)
    assert json.loads(out.getvalue())["faces"][0]["matches"][0]["person"] == "Ada"
    printed = io.StringIO()
    call_command("search_photo", str(picture), "--gallery", gallery.name, stdout=printed)
    assert printed.getvalue().splitlines()[2].split() == ["1", "0.900", "ada.jpg", "Ada"]

"""Conditional reads and writes."""

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo
from tests.unit.webapp.http.rest.test_parameters import OPERATIONS
from webapp.accounts.callers import Caller, Scope
from webapp.accounts.keys import key_create
from webapp.gallery import services
from webapp.gallery.models import Face, Gallery, Level, Photo
from webapp.people import services as people
from webapp.people.models import Person


@pytest.fixture
def api(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def face(gallery: Gallery) -> Face:
    return add_indexed_photo(gallery).faces.get()


@pytest.fixture
def person(face: Face) -> Person:
    person = people.face_name(face=face, name="Ada")
    assert person is not None
    return person


def refusal(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def patch(api: Client, address: str, name: str, **headers: str) -> Any:
    body = json.dumps({"name": name})
    named = {each.replace("_", "-"): value for each, value in headers.items()}
    return api.patch(address, body, content_type="application/json", headers=named)


# -- reads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["{etag}", "W/{etag}", '"other", {etag}', 'W/"x",{etag} , "y"', "*"])
def test_what_the_client_has_already_is_not_sent_again(api: Client, gallery: Gallery, given: str) -> None:
    address = f"/api/v1/galleries/{gallery.id}"
    etag = api.get(address)["ETag"]
    again = api.get(address, headers={"If-None-Match": given.format(etag=etag)})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)


@pytest.mark.parametrize("given", ['"other"', 'W/"other"', "nonsense"])
def test_what_the_client_has_not_is_sent(api: Client, gallery: Gallery, given: str) -> None:
    assert api.get(f"/api/v1/galleries/{gallery.id}", headers={"If-None-Match": given}).status_code == 200


def test_an_etag_changes_with_what_it_stands_for_and_with_nothing_else(api: Client, gallery: Gallery) -> None:
    address = f"/api/v1/galleries/{gallery.id}"
    first, listed = api.get(address)["ETag"], api.get("/api/v1/galleries")["ETag"]
    add_indexed_photo(gallery)
    assert api.get(address)["ETag"] == first
    services.gallery_change(gallery=gallery, name="Foes")
    assert api.get(address)["ETag"] != first
    assert api.get("/api/v1/galleries")["ETag"] != listed


def test_an_answer_is_kept_for_whom_it_was_made_and_asked_for_again(api: Client, gallery: Gallery) -> None:
    answer = api.get("/api/v1/galleries")
    assert answer["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "X-Api-Key", "Cookie"} <= {each.strip() for each in answer["Vary"].split(",")}


def test_a_read_only_of_what_it_was_is_refused(api: Client, gallery: Gallery) -> None:
    answer = api.get(f"/api/v1/galleries/{gallery.id}", headers={"If-Match": '"other"'})
    assert refusal(answer) == (412, "precondition_failed")


def test_a_date_means_nothing_where_there_is_none(api: Client, gallery: Gallery) -> None:
    old = {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}
    assert api.get(f"/api/v1/galleries/{gallery.id}", headers=old).status_code == 200
    body = json.dumps({"name": "x"})
    address = f"/api/v1/galleries/{gallery.id}"
    assert api.patch(address, body, content_type="application/json", headers=old).status_code == 200


def test_what_may_be_changed_may_be_read_at_the_same_address() -> None:
    """Else it would have no ETag, and a condition on it would never hold."""
    methods: dict[str, set[str]] = {}
    for operation in OPERATIONS:
        methods.setdefault(operation.path, set()).add(operation.method)
    changed = [path for path, found in methods.items() if {"patch", "put"} & found]
    assert len(changed) > 2
    assert [path for path in changed if "get" not in methods[path]] == []


# -- writes -------------------------------------------------------------------------------------------------


def test_a_write_of_what_the_client_has_seen_is_made_once(api: Client, gallery: Gallery) -> None:
    address = f"/api/v1/galleries/{gallery.id}"
    seen = api.get(address)["ETag"]
    changed = patch(api, address, "Foes", If_Match=f'"other", {seen}')
    assert changed.status_code == 200
    assert changed["ETag"] == api.get(address)["ETag"] != seen
    assert refusal(patch(api, address, "Rivals", If_Match=seen)) == (412, "precondition_failed")
    gallery.refresh_from_db()
    assert gallery.name == "Foes"
    assert patch(api, address, "Rivals", If_Match=changed["ETag"]).status_code == 200
    assert patch(api, address, "Peers", If_Match="*").status_code == 200


def test_a_weak_etag_proves_nothing_to_a_write(api: Client, gallery: Gallery) -> None:
    address = f"/api/v1/galleries/{gallery.id}"
    assert refusal(patch(api, address, "x", If_Match="W/" + api.get(address)["ETag"])) == (412, "precondition_failed")


@pytest.mark.parametrize("header", ["If_Match", "If_None_Match"])
@pytest.mark.parametrize("given", ["unquoted", "", '"', "**"])
def test_a_condition_that_cannot_be_read_is_not_taken_for_none(
    api: Client, gallery: Gallery, header: str, given: str
) -> None:
    answer = patch(api, f"/api/v1/galleries/{gallery.id}", "x", **{header: given})
    assert refusal(answer) == (400, "bad_header")
    gallery.refresh_from_db()
    assert gallery.name == "Friends"


@pytest.mark.parametrize("thing", ["galleries", "photos", "people"])
def test_only_what_the_client_has_seen_is_deleted(
    api: Client, gallery: Gallery, face: Face, person: Person, queue: WatchedQueue, thing: str
) -> None:
    ids = {"galleries": gallery.id, "photos": face.photo_id, "people": person.id}
    address = f"/api/v1/{thing}/{ids[thing]}"
    stale = api.delete(address, headers={"If-Match": '"other"'})
    assert refusal(stale) == (412, "precondition_failed")
    assert api.get(address).status_code == 200
    assert api.delete(address, headers={"If-Match": api.get(address)["ETag"]}).status_code in (202, 204)
    assert api.get(address).status_code == 404


def test_a_face_is_named_only_if_nobody_has(api: Client, face: Face) -> None:
    address = f"/api/v1/faces/{face.id}/person"
    put = {"content_type": "application/json", "headers": {"If-None-Match": "*"}}
    assert api.put(address, json.dumps({"name": "Ada"}), **put).status_code == 200
    assert refusal(api.put(address, json.dumps({"name": "Eve"}), **put)) == (412, "precondition_failed")
    face.refresh_from_db()
    assert face.person is not None
    assert face.person.name == "Ada"


def test_a_condition_on_what_is_not_there_does_not_hold(api: Client, face: Face) -> None:
    nobody = api.put(
        f"/api/v1/faces/{face.id}/person",
        json.dumps({"name": "Ada"}),
        content_type="application/json",
        headers={"If-Match": "*"},
    )
    assert refusal(nobody) == (412, "precondition_failed")
    nothing_to_see = api.post(f"/api/v1/photos/{face.photo_id}/retry", headers={"If-Match": '"x"'})
    assert refusal(nothing_to_see) == (412, "precondition_failed")


@pytest.mark.parametrize(
    ("method", "thing"), [("patch", "gallery"), ("delete", "gallery"), ("patch", "person"), ("delete", "photo")]
)
def test_of_two_writers_who_have_seen_the_same_one_fails(
    api: Client,
    gallery: Gallery,
    face: Face,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    thing: str,
) -> None:
    """The other one changes it after the condition was first looked at, and before the write has its turn."""
    address = {
        "gallery": f"/api/v1/galleries/{gallery.id}",
        "person": f"/api/v1/people/{person.id}",
        "photo": f"/api/v1/photos/{face.photo_id}",
    }[thing]
    seen = api.get(address)["ETag"]

    def other_writer() -> None:
        Gallery.objects.filter(id=gallery.id).update(name="Foes")
        Person.objects.filter(id=person.id).update(name="Eve")
        Photo.objects.filter(id=face.photo_id).update(filename="eve.jpg")

    def late(caller: Caller, gallery: Gallery, at_least: Level) -> None:
        if at_least > Level.VIEWER:
            other_writer()

    for room in ("gallery", "people"):
        monkeypatch.setattr(f"webapp.{room}.selectors.check_level", late)
    body = {"data": json.dumps({"name": "Mine"})} if method == "patch" else {}
    answer = getattr(api, method)(address, content_type="application/json", headers={"If-Match": seen}, **body)
    assert refusal(answer) == (412, "precondition_failed")
    gallery.refresh_from_db()
    assert (gallery.name, gallery.deleting) == ("Foes", False)
    assert Person.objects.get().name == "Eve"
    assert Photo.objects.get().state == Photo.State.INDEXED


def test_a_condition_tells_nobody_what_they_may_not_see(user: User, gallery: Gallery, their_gallery: Gallery) -> None:
    address = f"/api/v1/galleries/{gallery.id}"
    assert refusal(patch(Client(), address, "x", If_Match="*")) == (401, "not_logged_in")
    _, token = key_create(user=user, name="writes", scopes=[Scope.WRITE])
    writer = Client(headers={"Authorization": f"Bearer {token}"})
    assert refusal(patch(writer, address, "x", If_Match="*")) == (403, "scope_missing")
    api = Client()
    api.force_login(user)
    theirs = patch(api, f"/api/v1/galleries/{their_gallery.id}", "x", If_Match="*")
    nobodys = patch(api, f"/api/v1/galleries/{uuid.uuid4()}", "x", If_Match="*")
    assert refusal(theirs) == refusal(nobodys) == (412, "precondition_failed")

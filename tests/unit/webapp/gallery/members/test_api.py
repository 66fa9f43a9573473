"""The API of members and invitations."""

from json import dumps
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from webapp.accounts.callers import Scope
from webapp.accounts.keys import key_create
from webapp.gallery.models import Gallery, Level, Member


class Api:
    """JSON requests with a key of the user."""

    def __init__(self, user: User, *scopes: Scope, galleries: list[Gallery] | None = None) -> None:
        _, token = key_create(user=user, name="test", scopes=scopes or [Scope.READ, Scope.WRITE], galleries=galleries)
        self._client = Client(headers={"Authorization": f"Bearer {token}"})

    def __call__(self, method: str, path: str, json: Any = None) -> Any:
        body = b"" if json is None else dumps(json).encode()
        return self._client.generic(method, f"/api/v1{path}", body, "application/json")


@pytest.fixture
def owner(user: User) -> Api:
    return Api(user)


def test_the_link_of_an_invitation_begins_as_browsers_reach_the_service(
    owner: Api, gallery: Gallery, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://faces.example.org"
    made = owner("POST", f"/galleries/{gallery.id}/invitations", {}).json()
    assert made["url"] == f"https://faces.example.org/invitations/{made['token']}/"


def test_an_invitation_is_made_shown_accepted_and_revoked(owner: Api, gallery: Gallery, stranger: User) -> None:
    made = owner("POST", f"/galleries/{gallery.id}/invitations", {"level": "editor", "places": 2})
    assert made.status_code == 201
    token, url = made.json()["token"], made.json()["url"]
    assert url == f"http://testserver/invitations/{token}/"
    listed = owner("GET", f"/galleries/{gallery.id}/invitations").json()
    assert [(row["level"], row["places"]) for row in listed["items"]] == [("editor", 2)]
    assert token not in str(listed)

    guest = Api(stranger)
    shown = guest("POST", "/invitations/show", {"token": token}).json()
    assert (shown["gallery_name"], shown["owner"], shown["level"]) == ("Friends", "ada", "editor")
    accepted = guest("POST", "/invitations/accept", {"token": token}).json()
    assert (accepted["id"], accepted["owner"], accepted["level"]) == (str(gallery.id), "ada", "editor")
    assert guest("GET", "/galleries").json()["items"][0]["level"] == "editor"

    (row,) = owner("GET", f"/galleries/{gallery.id}/invitations").json()["items"]
    assert row["places"] == 1
    address = f"/galleries/{gallery.id}/invitations/{row['id']}"
    assert owner("DELETE", address).status_code == 204
    assert owner("DELETE", address).json()["code"] == "not_found"
    late = Api(User.objects.create_user("late"))
    assert late("POST", "/invitations/accept", {"token": token}).json()["code"] == "not_found"


@pytest.mark.parametrize(
    "body",
    [{"level": "owner"}, {"places": 0}, {"places": 101}, {"expires_in_days": 0}, {"expires_in_days": 91}],
    ids=str,
)
def test_an_invitation_that_cannot_be_made_is_refused(owner: Api, gallery: Gallery, body: dict[str, Any]) -> None:
    refused = owner("POST", f"/galleries/{gallery.id}/invitations", body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


def test_members_are_listed_in_parts_changed_and_removed(
    owner: Api, gallery: Gallery, viewer: Member, editor: Member
) -> None:
    address = f"/galleries/{gallery.id}/members"
    first = owner("GET", address + "?limit=1").json()
    assert first["owner"] == "ada"
    assert [(row["user"], row["level"]) for row in first["items"]] == [("vera", "viewer")]
    second = owner("GET", f"{address}?limit=1&cursor={first['next_cursor']}").json()
    assert ([row["user"] for row in second["items"]], second["next_cursor"]) == (["eddy"], None)

    assert owner("PATCH", f"{address}/{viewer.id}", {"level": "editor"}).json()["level"] == "editor"
    assert owner("PATCH", f"{address}/{viewer.id}", {"level": "owner"}).json()["code"] == "invalid_request"
    assert owner("DELETE", f"{address}/{viewer.id}").status_code == 204
    assert owner("DELETE", f"{address}/{viewer.id}").json()["code"] == "not_found"
    assert [row["user"] for row in owner("GET", address).json()["items"]] == ["eddy"]


def test_a_member_of_another_gallery_is_not_reached_through_ones_own(
    owner: Api, gallery: Gallery, their_gallery: Gallery, user: User
) -> None:
    theirs = Member.objects.create(gallery=their_gallery, user=User.objects.create_user("vera"), level=Level.VIEWER)
    assert owner("DELETE", f"/galleries/{gallery.id}/members/{theirs.id}").json()["code"] == "not_found"
    assert owner("POST", f"/galleries/{gallery.id}/transfer", {"member_id": str(theirs.id)}).status_code == 404
    assert Member.objects.filter(id=theirs.id).exists()


def test_a_member_leaves_and_the_owner_cannot(owner: Api, gallery: Gallery, viewer: Member) -> None:
    assert Api(viewer.user)("POST", f"/galleries/{gallery.id}/leave").status_code == 204
    assert Api(viewer.user)("GET", f"/galleries/{gallery.id}/members").json()["code"] == "not_found"
    assert owner("POST", f"/galleries/{gallery.id}/leave").json()["code"] == "owner_cannot_leave"


def test_a_gallery_is_transferred(owner: Api, gallery: Gallery, editor: Member) -> None:
    answer = owner("POST", f"/galleries/{gallery.id}/transfer", {"member_id": str(editor.id)}).json()
    assert (answer["owner"], answer["level"]) == ("eddy", "editor")
    again = owner("POST", f"/galleries/{gallery.id}/transfer", {"member_id": str(editor.id)})
    assert (again.status_code, again.json()["code"]) == (403, "level_too_low")


def test_a_key_limited_to_galleries_accepts_no_invitation(
    owner: Api, gallery: Gallery, their_gallery: Gallery, stranger: User
) -> None:
    token = owner("POST", f"/galleries/{gallery.id}/invitations", {}).json()["token"]
    limited = Api(stranger, galleries=[their_gallery])
    refused = limited("POST", "/invitations/accept", {"token": token})
    assert (refused.status_code, refused.json()["code"]) == (403, "key_limited")

"""The page of API keys, and the list of all keys in the admin."""

import html
import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tasks import clock
from webapp.accounts.callers import Scope
from webapp.accounts.keys import key_create
from webapp.accounts.models import ApiKey, AuditEntry
from webapp.gallery.models import Gallery, Level, Member

PAGE = "/account/keys/"


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def form(**changes: Any) -> dict[str, Any]:
    return {"name": "backup", "scopes": ["read"], "reach": "all", "expires": "90"} | changes


def shown_token(response: Any) -> str:
    found = re.search(r'value="(fq_[a-z2-7]{32})"', response.content.decode())
    assert found
    return found[1]


def test_a_key_is_made_and_shown_once(page: Client, user: User) -> None:
    made = page.post(PAGE, form(scopes=["read", "search"]))
    assert made.status_code == 200
    token = shown_token(made)
    assert "no-store" in made["Cache-Control"]
    key = ApiKey.objects.get()
    assert (key.user, key.name, key.scopes, key.is_limited) == (user, "backup", ["read", "search"], False)
    assert timedelta(days=89) < key.expires_at - clock.utcnow() <= timedelta(days=90)  # type: ignore[operator]
    later = page.get(PAGE).content.decode()
    assert token not in later
    assert key.hint in later


@pytest.mark.parametrize("scope", ["read", "write", "search"])
def test_the_page_shows_a_command_that_works_with_the_key(page: Client, scope: str) -> None:
    made = page.post(PAGE, form(scopes=[scope]))
    command = html.unescape(made.content.decode())
    assert f"curl -H 'Authorization: Bearer {shown_token(made)}'" in command
    paths = {"read": "http://testserver/api/v1/galleries", "write": "Holidays", "search": "searches?wait=10"}
    assert paths[scope] in command


def test_a_key_may_be_limited_to_galleries_and_last_for_ever(page: Client, user: User, gallery: Gallery) -> None:
    Gallery.objects.create(owner=user, name="Work")
    token = shown_token(page.post(PAGE, form(reach="some", galleries=[str(gallery.pk)], expires="")))
    key = ApiKey.objects.get()
    assert (key.is_limited, list(key.galleries.all()), key.expires_at) == (True, [gallery], None)
    listed = Client().get("/api/v1/galleries", headers={"X-Api-Key": token}).content.decode()
    assert ("Friends" in listed, "Work" in listed) == (True, False)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"name": ""}, id="no name"),
        pytest.param({"scopes": []}, id="no scope"),
        pytest.param({"scopes": ["admin"]}, id="the scope of staff"),
        pytest.param({"scopes": ["everything"]}, id="an invented scope"),
        pytest.param({"reach": "some"}, id="limited to nothing"),
        pytest.param({"reach": "some", "galleries": ["x"]}, id="no gallery's id"),
        pytest.param({"reach": ""}, id="neither all nor some"),
        pytest.param({"expires": "100000"}, id="another life"),
    ],
)
def test_a_form_that_makes_no_sense_makes_no_key_and_keeps_what_was_filled_in(
    page: Client, changes: dict[str, Any]
) -> None:
    refused = page.post(PAGE, form(**changes))
    shown = refused.content.decode()
    assert refused.status_code in (400, 422)
    assert 'role="alert"' in shown
    if "name" not in changes:
        assert 'value="backup"' in shown
    assert not ApiKey.objects.exists()


def test_nobody_limits_a_key_to_what_they_do_not_see(page: Client, their_gallery: Gallery) -> None:
    refused = page.post(PAGE, form(reach="some", galleries=[str(their_gallery.pk)]))
    assert refused.status_code in (400, 422)
    assert not ApiKey.objects.exists()


def test_only_staff_are_offered_their_scope(page: Client, admin_client: Client) -> None:
    assert 'value="admin"' not in page.get(PAGE).content.decode()
    assert 'value="admin"' in admin_client.get(PAGE).content.decode()
    assert admin_client.post(PAGE, form(scopes=["admin"])).status_code == 200


def test_a_key_is_revoked_with_one_click(page: Client, user: User) -> None:
    token = shown_token(page.post(PAGE, form()))
    assert Client().get("/api/v1/galleries", headers={"X-Api-Key": token}).status_code == 200
    done = page.post(f"{PAGE}{ApiKey.objects.get().pk}/revoke/", follow=True)
    assert "The API key “backup” is revoked." in done.content.decode()
    assert Client().get("/api/v1/galleries", headers={"X-Api-Key": token}).status_code == 401


def test_the_keys_of_others_are_not_there(page: Client, stranger: User) -> None:
    theirs, _ = key_create(user=stranger, name="their key", scopes=[Scope.READ])
    assert "their key" not in page.get(PAGE).content.decode()
    assert page.post(f"{PAGE}{theirs.pk}/revoke/").status_code == 404
    assert ApiKey.objects.exists()


def test_strangers_and_forms_without_a_token_are_turned_away(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.get(PAGE).status_code == 302
    client.force_login(user)
    assert client.post(PAGE, form()).status_code == 403


def test_the_page_tells_expired_keys_and_lost_galleries(page: Client, user: User, gallery: Gallery) -> None:
    key_create(user=user, name="backup", scopes=[Scope.READ], galleries=[gallery])
    ApiKey.objects.update(expires_at=clock.utcnow())
    gallery.delete()
    shown = page.get(PAGE).content.decode()
    assert "expired" in shown
    assert "none any more" in shown


def test_the_page_does_not_name_a_gallery_that_the_user_sees_no_more(
    page: Client, user: User, gallery: Gallery, their_gallery: Gallery
) -> None:
    member = Member.objects.create(gallery=their_gallery, user=user, level=Level.VIEWER)
    key_create(user=user, name="backup", scopes=[Scope.READ], galleries=[gallery, their_gallery])
    assert "Friends, Secrets" in page.get(PAGE).content.decode()
    member.delete()
    assert "Secrets" not in page.get(PAGE).content.decode()


def test_a_new_key_is_in_no_log_line(page: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert shown_token(page.post(PAGE, form())) not in caplog.text


# -- the admin ---------------------------------------------------------------------------------------------------------


def test_the_admin_lists_all_keys_without_their_hashes_and_revokes_them(admin_client: Client, user: User) -> None:
    key, token = key_create(user=user, name="backup", scopes=[Scope.READ])
    listed = admin_client.get("/admin/accounts/apikey/").content.decode()
    shown = admin_client.get(f"/admin/accounts/apikey/{key.pk}/change/").content.decode()
    for text in (listed, shown):
        assert "backup" in text
        assert key.digest not in text
        assert token not in text
    assert 'name="name"' not in shown, "nothing of it can be changed"
    assert admin_client.get("/admin/accounts/apikey/add/").status_code == 403
    admin_client.post(f"/admin/accounts/apikey/{key.pk}/delete/", {"post": "yes"})
    assert not ApiKey.objects.exists()
    entry = AuditEntry.objects.first()
    assert entry is not None
    assert (entry.actor, entry.action, entry.detail["user"]) == ("admin", "key.revoke", "ada")


def test_the_admin_revokes_several_keys_at_once(admin_client: Client, user: User) -> None:
    keys = [key_create(user=user, name=name, scopes=[Scope.READ])[0] for name in ("one", "two")]
    chosen = {"action": "delete_selected", "_selected_action": [key.pk for key in keys], "post": "yes"}
    admin_client.post("/admin/accounts/apikey/", chosen)
    assert not ApiKey.objects.exists()
    assert AuditEntry.objects.filter(action="key.revoke").count() == 2

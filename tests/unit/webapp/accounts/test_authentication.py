"""Who may use the API, by what the request shows."""

import logging
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks.messages.search import SearchResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import add_indexed_photo, upload
from webapp.accounts import keys
from webapp.accounts.callers import Scope
from webapp.accounts.keys import key_create, key_revoke
from webapp.gallery.models import Gallery
from webapp.jobs.models import Job

GALLERIES = "/api/v1/galleries"


@pytest.fixture(autouse=True)
def nothing_is_noted_yet() -> None:
    keys._noted.clear()


@pytest.fixture
def api() -> Client:
    return Client(enforce_csrf_checks=True)


def bearer(token: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {token}"}}


def key_of(user: User, *scopes: Scope, galleries: list[Gallery] | None = None) -> str:
    return key_create(user=user, name="test", scopes=scopes, galleries=galleries)[1]


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_a_key_is_shown_in_either_header_and_needs_no_csrf_token(user: User, api: Client, header: str) -> None:
    token = key_of(user, Scope.READ, Scope.WRITE)
    shown = {header: f"Bearer {token}" if header == "Authorization" else token}
    made = api.post(GALLERIES, {"name": "Friends"}, content_type="application/json", headers=shown)
    assert made.status_code == 201, made.content
    assert Gallery.objects.get().owner == user


def test_a_session_still_needs_its_csrf_token(user: User, api: Client) -> None:
    api.force_login(user)
    refused = api.post(GALLERIES, {"name": "Friends"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf")


@pytest.mark.parametrize(
    ("headers", "status", "code", "challenge"),
    [
        pytest.param({}, 401, "not_logged_in", "Bearer", id="nothing"),
        pytest.param({"X-Api-Key": "hunter2"}, 401, "bad_key", "invalid_token", id="no key at all"),
        pytest.param({"X-Api-Key": ""}, 401, "bad_key", "invalid_token", id="an empty key"),
        pytest.param({"Authorization": "Bearer"}, 401, "bad_key", "invalid_token", id="no token"),
        pytest.param({"Authorization": "Bearer fq_" + "a" * 32}, 401, "bad_key", "invalid_token", id="unknown"),
        pytest.param({"Authorization": "Basic YTpi"}, 401, "bad_key", "invalid_token", id="another scheme"),
        pytest.param({"Authorization": "\xff\xfe"}, 401, "bad_key", "invalid_token", id="no text"),
        pytest.param({"Authorization": "Bearer a", "X-Api-Key": "b"}, 400, "two_keys", "", id="two keys"),
    ],
)
@pytest.mark.parametrize("is_logged_in", [False, True], ids=["stranger", "with a session"])
def test_a_refusal_says_how_to_authenticate(
    user: User, api: Client, headers: dict[str, str], status: int, code: str, challenge: str, is_logged_in: bool
) -> None:
    if is_logged_in:
        if not headers:
            return
        api.force_login(user)  # which must not count for a request that shows something else
    refused = api.get(GALLERIES, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert challenge in refused.headers.get("WWW-Authenticate", "")
    if code == "not_logged_in":
        assert "Authorization: Bearer" in refused.json()["detail"]


def test_the_same_key_may_be_shown_twice(user: User, api: Client) -> None:
    token = key_of(user, Scope.READ)
    shown = {"Authorization": f"bearer {token}", "X-Api-Key": token}
    assert api.get(GALLERIES, headers=shown).status_code == 200


def test_a_key_counts_before_the_session_that_comes_with_it(user: User, stranger: User, api: Client) -> None:
    Gallery.objects.create(owner=user, name="Friends")
    api.force_login(stranger)
    assert "Friends" in api.get(GALLERIES, **bearer(key_of(user, Scope.READ))).content.decode()


def test_a_revoked_key_is_refused_at_once(user: User, api: Client) -> None:
    key, token = key_create(user=user, name="test", scopes=[Scope.READ])
    assert api.get(GALLERIES, **bearer(token)).status_code == 200
    key_revoke(key=key, actor="ada")
    assert api.get(GALLERIES, **bearer(token)).status_code == 401


@pytest.mark.parametrize("scope", [Scope.READ, Scope.SEARCH, Scope.ADMIN])
def test_no_scope_includes_another(admin_user: User, api: Client, scope: Scope) -> None:
    token = key_of(admin_user, scope)
    refused = api.post(GALLERIES, {"name": "Friends"}, content_type="application/json", **bearer(token))
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert refused["WWW-Authenticate"].endswith('error="insufficient_scope", scope="write"')
    assert (api.get(GALLERIES, **bearer(token)).status_code == 200) == (scope == Scope.READ)
    assert (api.get("/api/v1/generations", **bearer(token)).status_code == 200) == (scope == Scope.ADMIN)


def test_a_key_of_staff_loses_its_scope_with_them(admin_user: User, api: Client) -> None:
    token = key_of(admin_user, Scope.ADMIN)
    admin_user.is_staff = False
    admin_user.save()
    assert api.get("/api/v1/generations", **bearer(token)).status_code == 404


# -- keys that are limited to galleries --------------------------------------------------------------------------------


@pytest.fixture
def limited(user: User, gallery: Gallery) -> dict[str, Any]:
    return bearer(key_of(user, Scope.READ, Scope.WRITE, Scope.SEARCH, galleries=[gallery]))


def test_a_limited_key_sees_no_other_gallery(user: User, api: Client, gallery: Gallery, limited: Any) -> None:
    other = Gallery.objects.create(owner=user, name="Work")
    listed = api.get(GALLERIES, **limited).content.decode()
    assert (str(gallery.pk) in listed, str(other.pk) in listed) == (True, False)
    for path in ("progress", "photos", "people"):
        assert api.get(f"{GALLERIES}/{gallery.pk}/{path}", **limited).status_code == 200
        assert api.get(f"{GALLERIES}/{other.pk}/{path}", **limited).status_code == 404


def test_a_limited_key_makes_no_gallery(api: Client, limited: Any) -> None:
    refused = api.post(GALLERIES, {"name": "More"}, content_type="application/json", **limited)
    assert (refused.status_code, refused.json()["code"]) == (403, "key_limited")


def test_a_limited_key_sees_the_jobs_of_its_galleries_only(
    user: User, api: Client, gallery: Gallery, limited: Any
) -> None:
    other = Gallery.objects.create(owner=user, name="Work")
    jobs = [
        Job.objects.create(owner=user, gallery=each, gallery_name="", kind=Job.Kind.IMPORT)
        for each in (gallery, other, None)
    ]
    shown = [api.get(f"/api/v1/jobs/{job.pk}", **limited).status_code for job in jobs]
    assert shown == [200, 404, 404]
    listed = api.get("/api/v1/jobs", **limited).content.decode()
    assert [str(job.pk) in listed for job in jobs] == [True, False, False]


def test_a_key_of_staff_that_was_limited_by_hand_sees_no_generations(
    admin_user: User, api: Client, gallery: Gallery
) -> None:
    key, token = key_create(user=admin_user, name="test", scopes=[Scope.ADMIN])
    key.is_limited = True
    key.save()
    refused = api.get("/api/v1/generations", **bearer(token))
    assert (refused.status_code, refused.json()["code"]) == (403, "key_limited")


# -- what keys are not for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/account/keys/", "/admin/"])
def test_a_key_opens_no_page(admin_user: User, api: Client, path: str) -> None:
    answer = api.get(path, **bearer(key_of(admin_user, *Scope)))
    assert answer.status_code == 302
    assert answer["Location"].partition("?")[0] in ("/login/", "/admin/login/")


def test_an_api_request_with_a_key_reads_no_session_and_hashes_no_password(
    user: User, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = key_of(user, Scope.READ)
    api.get(GALLERIES, **bearer(token))

    def never(*_: Any) -> None:
        raise AssertionError("a password was hashed")

    monkeypatch.setattr("django.contrib.auth.hashers.MD5PasswordHasher.encode", never)
    with CaptureQueriesContext(connection) as asked:
        api.get(GALLERIES, **bearer(token))
    assert [query["sql"] for query in asked if "session" in query["sql"]] == []
    assert len(asked) == 2, "the key, and the galleries"


def test_keys_are_in_no_log_line_whatever_header_shows_them(
    user: User, api: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = key_of(user, Scope.READ)
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"Basic {token}"},
        {"Authorization": token},
        {"X-Api-Key": token},
        {"X-Request-ID": f"{token} {token}"},
        {"X-Api-Key": token + "x"},
    ):
        api.get(GALLERIES, headers=headers)
        api.post(GALLERIES, b"{", content_type="application/json", headers=headers)
    assert token not in caplog.text


def test_a_search_that_is_held_while_its_key_is_revoked_answers_nothing(
    user: User, api: Client, gallery: Gallery, face_search: MemorySearchClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = add_indexed_photo(gallery)
    key, token = key_create(user=user, name="test", scopes=[Scope.SEARCH])
    face_search.result = SearchResult(faces=(), width=100, height=80)
    wait = face_search.wait_for_answer

    async def revoked_meanwhile(*args: Any, **named: Any) -> Any:
        await sync_to_async(key_revoke)(key=key, actor="ada")
        return await wait(*args, **named)

    path = f"{GALLERIES}/{gallery.pk}/searches?wait=5"
    assert api.post(path, {"image": upload()}, **bearer(token)).status_code == 200
    monkeypatch.setattr(face_search, "wait_for_answer", revoked_meanwhile)
    refused = api.post(path, {"image": upload()}, **bearer(token))
    assert refused.status_code == 404
    assert photo.filename not in refused.content.decode()

"""A request that is sent again is carried out once."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import OperationalError, connections
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from tasks import clock
from tests.unit.webapp.conftest import add_photo, upload
from tests.waiting import eventually
from webapp.accounts.callers import Scope
from webapp.accounts.idempotency import answers
from webapp.accounts.keys import key_create
from webapp.accounts.models import KeptAnswer
from webapp.gallery import services
from webapp.gallery.models import Gallery, Photo
from webapp.http.problems import Problem
from webapp.operations.tasks import purge_answers

GALLERIES = "/api/v1/galleries"
JSON = "application/json"


def token_of(user: User, *scopes: Scope) -> str:
    return key_create(user=user, name="test", scopes=scopes or [Scope.READ, Scope.WRITE])[1]


@pytest.fixture
def shown(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_of(user)}", "Idempotency-Key": "one"}


def create(shown: dict[str, str], name: str = "Friends", **query: Any) -> Any:
    return Client().post(GALLERIES, {"name": name}, content_type=JSON, headers=shown, query_params=query)


def code_of(response: Any) -> str:
    code: str = response.json()["code"]
    return code


def test_a_repeat_gets_the_first_answer_and_does_nothing(shown: dict[str, str]) -> None:
    first, second = create(shown), create(shown)
    assert first.status_code == second.status_code == 201
    assert (first.content, first["Content-Type"]) == (second.content, second["Content-Type"])
    assert ("Idempotent-Replayed" in first, second["Idempotent-Replayed"]) == (False, "true")
    assert Gallery.objects.count() == 1


def test_a_refusal_is_an_answer_too(shown: dict[str, str]) -> None:
    assert create(shown, " ").status_code == create(shown, " ").status_code == 400
    assert create(shown, " ")["Content-Type"] == "application/problem+json"
    assert KeptAnswer.objects.count() == 1


def test_without_the_header_each_request_is_a_new_one(shown: dict[str, str]) -> None:
    del shown["Idempotency-Key"]
    assert [create(shown).status_code for _ in range(2)] == [201, 409]
    assert not KeptAnswer.objects.exists()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda shown: create(shown, "Work"), id="another body"),
        pytest.param(lambda shown: create(shown, x="1"), id="another query"),
        pytest.param(
            lambda shown: Client().post(
                f"{GALLERIES}/{Gallery.objects.get().pk}/photos", {"files": upload()}, headers=shown
            ),
            id="another path",
        ),
    ],
)
def test_a_key_belongs_to_one_request(shown: dict[str, str], other: Callable[[dict[str, str]], Any]) -> None:
    create(shown)
    refused = other(shown)
    assert (refused.status_code, code_of(refused)) == (422, "idempotency_key_reused")
    assert (Gallery.objects.count(), Photo.objects.count()) == (1, 0)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é"])
def test_a_key_is_a_word_of_bounded_length(shown: dict[str, str], key: str) -> None:
    refused = create(shown | {"Idempotency-Key": key})
    assert (refused.status_code, code_of(refused)) == (400, "bad_idempotency_key")


def test_users_and_their_keys_and_sessions_know_nothing_of_each_other(user: User, stranger: User) -> None:
    for number, (asker, token) in enumerate([(user, token_of(user)), (user, token_of(user)), (stranger, "")]):
        client = Client()
        headers = {"Idempotency-Key": "one"} | ({"X-Api-Key": token} if token else {})
        if not token:
            client.force_login(asker)
        made = client.post(GALLERIES, {"name": f"Friends {number}"}, content_type=JSON, headers=headers)
        assert made.status_code == 201, made.content
        assert Gallery.objects.get(id=made.json()["id"]).owner == asker


def test_a_session_may_repeat_too(user: User) -> None:
    client = Client()
    client.force_login(user)
    made = [
        client.post(GALLERIES, {"name": "Friends"}, content_type=JSON, headers={"Idempotency-Key": "one"})
        for _ in range(2)
    ]
    assert [each.status_code for each in made] == [201, 201]


def test_whoever_may_not_use_the_operation_any_more_gets_no_answer_again(user: User, shown: dict[str, str]) -> None:
    create(shown)
    user.api_keys.update(scopes=["read"])  # type: ignore[attr-defined]
    assert code_of(create(shown)) == "scope_missing"
    user.api_keys.all().delete()  # type: ignore[attr-defined]
    assert code_of(create(shown)) == "bad_key"


# -- all kinds of requests ---------------------------------------------------------------------------------------------


def send_photos(gallery: Gallery, shown: dict[str, str], content: bytes, *, name: str = "a.jpg", boundary: str) -> Any:
    body = encode_multipart(boundary, {"files": [upload(content, name), upload(b"other", "b.jpg")]})
    content_type = MULTIPART_CONTENT.replace(BOUNDARY, boundary)
    path = f"{GALLERIES}/{gallery.pk}/photos"
    return Client().generic("POST", path, body, content_type, headers=shown)


@pytest.mark.parametrize("is_large", [False, True], ids=["in memory", "in files"])
def test_photos_are_the_same_when_their_names_and_contents_are(
    gallery: Gallery, shown: dict[str, str], settings: Any, is_large: bool
) -> None:
    if is_large:
        settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1
    first = send_photos(gallery, shown, b"picture", boundary="one")
    assert [file["result"] for file in first.json()["files"]] == ["added", "added"], "all of it is still there"
    assert {photo.byte_size for photo in Photo.objects.all()} == {len(b"picture"), len(b"other")}
    again = send_photos(gallery, shown, b"picture", boundary="two")
    assert (again.status_code, again.content) == (202, first.content)
    for other in (
        send_photos(gallery, shown, b"another", boundary="one"),
        send_photos(gallery, shown, b"picture", name="c.jpg", boundary="one"),
    ):
        assert code_of(other) == "idempotency_key_reused"


def test_fields_and_files_cannot_run_into_each_other(gallery: Gallery, shown: dict[str, str]) -> None:
    path = f"{GALLERIES}/{gallery.pk}/photos"
    Client().post(path, {"files": upload(), "ab": "c"}, headers=shown)
    assert code_of(Client().post(path, {"files": upload(), "a": "bc"}, headers=shown)) == "idempotency_key_reused"


def test_a_repeated_deletion_is_answered_although_its_photo_is_gone(gallery: Gallery, shown: dict[str, str]) -> None:
    path = f"/api/v1/photos/{add_photo(gallery).pk}"
    assert [Client().delete(path, headers=shown).status_code for _ in range(2)] == [202, 202]
    assert Client().delete(path, headers=shown | {"Idempotency-Key": "two"}).status_code == 404


def test_reading_needs_no_key(gallery: Gallery, shown: dict[str, str]) -> None:
    assert Client().get(GALLERIES, headers=shown).status_code == 200
    assert not KeptAnswer.objects.exists()


# -- while it runs, and when it is lost --------------------------------------------------------------------------------


def test_while_the_first_is_carried_out_a_repeat_has_to_wait(
    shown: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, repeats = services.gallery_create, []

    def repeated(**named: Any) -> Gallery:
        repeats.append(create(shown))
        return make(**named)

    monkeypatch.setattr(services, "gallery_create", repeated)
    assert create(shown).status_code == 201
    (repeat,) = repeats
    assert (repeat.status_code, code_of(repeat)) == (409, "idempotency_in_progress")
    assert int(repeat["Retry-After"]) > 0
    assert create(shown).status_code == 201
    assert len(repeats) == 1


def test_what_a_condition_reads_is_no_answer_to_the_write(
    gallery: Gallery, shown: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, update, kept = f"{GALLERIES}/{gallery.pk}", services.gallery_change, []
    shown["If-Match"] = Client().get(address, headers=shown)["ETag"]

    def seen(**named: Any) -> Gallery:
        kept.append(KeptAnswer.objects.get().status)
        return update(**named)

    monkeypatch.setattr(services, "gallery_change", seen)
    answer = Client().patch(address, {"name": "Work"}, content_type=JSON, headers=shown)
    assert (answer.status_code, kept) == (200, [None])


@pytest.mark.parametrize(("age", "status"), [(timedelta(), 409), (answers.LEASE, 201)])
def test_a_request_lost_with_its_process_may_be_sent_again_after_a_while(
    shown: dict[str, str], age: timedelta, status: int
) -> None:
    create(shown)
    Gallery.objects.all().delete()
    KeptAnswer.objects.update(status=None, started_at=clock.utcnow() - age)
    assert create(shown).status_code == status
    assert Gallery.objects.count() == (1 if status == 201 else 0)


def test_what_was_taken_over_keeps_the_answer_of_the_repeat(
    shown: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = services.gallery_create
    repeats: list[Any] = []

    def lost(**named: Any) -> Gallery:
        if not repeats:
            repeats.append(None)
            KeptAnswer.objects.update(started_at=clock.utcnow() - answers.LEASE)
            repeats[0] = create(shown)
        return make(**named)

    monkeypatch.setattr(services, "gallery_create", lost)
    assert create(shown).status_code == 409, "the repeat has made the gallery"
    assert create(shown).content == repeats[0].content


@pytest.mark.parametrize(
    "failure",
    [OSError("broken"), Problem("busy", "Full."), Problem("x", "Later.", status=429, retry_after_seconds=1)],
)
def test_what_failed_for_now_is_carried_out_by_the_repeat(
    shown: dict[str, str], monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fails(**_: Any) -> Gallery:
        raise failure

    with monkeypatch.context() as patched:
        patched.setattr(services, "gallery_create", fails)
        assert create(shown).status_code >= 429
    assert create(shown).status_code == 201


@pytest.mark.django_db(transaction=True)
async def test_a_client_that_goes_away_gets_the_answer_when_it_asks_again(
    shown: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, begun, go_on = services.gallery_create, threading.Event(), threading.Event()

    def slow(**named: Any) -> Gallery:
        begun.set()
        assert go_on.wait(30)
        return make(**named)

    monkeypatch.setattr(services, "gallery_create", slow)
    asking = asyncio.create_task(AsyncClient().post(GALLERIES, {"name": "Friends"}, content_type=JSON, headers=shown))
    while not begun.is_set():
        await asyncio.sleep(0.01)
    asking.cancel()  # as Django does when the client is gone
    go_on.set()
    await asyncio.gather(asking, return_exceptions=True)
    is_kept = KeptAnswer.objects.filter(status=201).exists
    await sync_to_async(lambda: eventually(is_kept, "the answer is kept"), thread_sensitive=False)()
    repeat = await AsyncClient().post(GALLERIES, {"name": "Friends"}, content_type=JSON, headers=shown)
    assert (repeat.status_code, repeat["Idempotent-Replayed"]) == (201, "true")


@pytest.mark.django_db(transaction=True)
def test_of_many_at_the_same_time_one_is_carried_out(shown: dict[str, str]) -> None:
    ready, statuses = threading.Barrier(6), []

    def send() -> None:
        ready.wait()
        statuses.append(create(shown).status_code)
        connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert Gallery.objects.count() == 1
    assert KeptAnswer.objects.get().status == 201


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(
    shown: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def locked(*_: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(answers, "_keep", locked)
    assert create(shown).status_code == 201
    assert "could not be kept" in caplog.text
    assert code_of(create(shown)) == "idempotency_in_progress", "nothing is done twice until it counts as lost"


# -- how much is kept --------------------------------------------------------------------------------------------------


def test_answers_are_kept_for_a_day(shown: dict[str, str]) -> None:
    create(shown)
    create(shown | {"Idempotency-Key": "two"}, "Work")
    first = KeptAnswer.objects.filter(pk=KeptAnswer.objects.earliest("id").pk)
    first.update(started_at=clock.utcnow() - answers.KEPT)
    assert create(shown).status_code == 409, "it is a new request, although the old row is still there"
    first.update(started_at=clock.utcnow() - answers.KEPT)
    purge_answers()
    assert KeptAnswer.objects.count() == 1


def test_only_the_newest_answers_of_a_user_are_kept(shown: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_KEPT", 3)
    for number in range(6):
        create(shown | {"Idempotency-Key": str(number)}, f"Gallery {number}")
    assert KeptAnswer.objects.count() == 3
    assert create(shown | {"Idempotency-Key": "5"}, "Gallery 5")["Idempotent-Replayed"] == "true"


def test_of_an_answer_that_is_too_large_the_fact_is_kept_that_there_was_one(
    shown: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LARGEST_BYTES", 10)
    assert create(shown).status_code == 201
    repeat = create(shown)
    assert (repeat.status_code, code_of(repeat)) == (409, "idempotency_answer_not_kept")
    assert Gallery.objects.count() == 1


def test_an_answer_with_a_secret_is_not_kept(gallery: Gallery, shown: dict[str, str]) -> None:
    def invite() -> Any:
        address = f"{GALLERIES}/{gallery.pk}/invitations"
        return Client().post(address, {}, content_type=JSON, headers=shown)

    token, repeat = invite().json()["token"], invite()
    assert (repeat.status_code, code_of(repeat)) == (409, "idempotency_answer_not_kept")
    assert token.encode() not in bytes(KeptAnswer.objects.get().content)


def test_a_user_takes_their_answers_along(user: User, shown: dict[str, str]) -> None:
    create(shown)
    Gallery.objects.all().delete()
    user.delete()
    assert not KeptAnswer.objects.exists()


@pytest.mark.django_db(transaction=True)
async def test_an_operation_on_the_event_loop_is_kept_too(user: User) -> None:
    begun = await sync_to_async(
        lambda: KeptAnswer.objects.create(name="x", user=user, request="y", started_at=clock.utcnow())
    )()
    request: Any = type("Request", (), {"method": "POST", "begun": answers._Begun(begun.pk, begun.started_at)})()

    async def run(_: Any, **path: Any) -> HttpResponse:
        return HttpResponse(b"done", status=202)

    await answers.keeping_answers(run)(request)
    row = await KeptAnswer.objects.aget()
    assert (row.status, bytes(row.content)) == (202, b"done")

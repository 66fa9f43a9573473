"""The API of several photos at once, and of moving: results per photo, levels, scopes, keys limited to galleries."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, add_photo, failed, record
from webapp.accounts.callers import Scope
from webapp.accounts.keys import key_create
from webapp.gallery import selectors, services
from webapp.gallery.models import Gallery, Level, Member, Photo
from webapp.jobs.models import Job
from webapp.people.moving import photos_move


@pytest.fixture
def api(user: User) -> Client:
    return client_of(user)


@pytest.fixture
def target(user: User) -> Gallery:
    return services.gallery_create(owner=user, name="Family")


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, address: str, **body: Any) -> Any:
    return client.post(f"/api/v1{address}", body, content_type="application/json")


def ids(*photos: Photo) -> list[str]:
    return [str(photo.id) for photo in photos]


# -- deleting -------------------------------------------------------------------------------------------------


def test_photos_are_deleted_together_with_a_result_for_each(
    api: Client, gallery: Gallery, their_gallery: Gallery, queue: WatchedQueue, user: User
) -> None:
    one, two, theirs = add_photo(gallery, b"1"), add_photo(gallery, b"2"), add_photo(their_gallery)
    answer = post(api, f"/galleries/{gallery.id}/photos/delete", photo_ids=ids(one, theirs, two, one))
    assert answer.status_code == 202
    results = [(each["photo_id"], each["result"], each["code"]) for each in answer.json()["photos"]]
    assert results == [
        (str(one.id), "deleting", ""),
        (str(theirs.id), "refused", "not_found"),
        (str(two.id), "deleting", ""),
    ]
    job = Job.objects.get(id=answer.json()["job_id"])
    assert (job.kind, job.total, job.requested_by) == ("delete", 2, user)
    assert sorted(queue.removed_ids) == sorted(ids(one, two))
    theirs.refresh_from_db()
    assert theirs.state == "pending"


def test_a_photo_that_is_being_deleted_is_not_found_the_second_time(api: Client, gallery: Gallery) -> None:
    photo = add_photo(gallery)
    first, again = [post(api, f"/galleries/{gallery.id}/photos/delete", photo_ids=ids(photo)).json() for _ in range(2)]
    assert (first["photos"][0]["result"], first["job_id"]) == ("deleting", None)
    assert again["photos"][0]["code"] == "not_found"


# -- retrying -------------------------------------------------------------------------------------------------


def test_failed_photos_are_retried_all_or_those_that_are_named(api: Client, gallery: Gallery) -> None:
    photos = [add_photo(gallery, bytes([number])) for number in range(3)]
    record(gallery, *[failed(photo, "gave_up") for photo in photos])
    named = post(api, f"/galleries/{gallery.id}/photos/retry", photo_ids=ids(photos[0])).json()
    assert (named["count"], Job.objects.get(id=named["job_id"]).kind) == (1, "retry")
    assert post(api, f"/galleries/{gallery.id}/photos/retry").json()["count"] == 2
    assert post(api, f"/galleries/{gallery.id}/photos/retry").json() == {"count": 0, "job_id": None, "warning": ""}


# -- moving ---------------------------------------------------------------------------------------------------


def test_photos_move_together_with_a_result_for_each(
    api: Client, gallery: Gallery, target: Gallery, user: User
) -> None:
    good, same = add_indexed_photo(gallery, content=b"good"), add_photo(gallery, b"same")
    add_photo(target, b"same")
    unknown = str(uuid.uuid4())
    answer = post(
        api,
        f"/galleries/{gallery.id}/photos/move",
        gallery_id=str(target.id),
        photo_ids=[*ids(good, same), unknown],
    )
    assert answer.status_code == 202
    results = [(each["photo_id"], each["result"], each["code"]) for each in answer.json()["photos"]]
    assert results == [
        (str(good.id), "moving", ""),
        (str(same.id), "refused", "already_there"),
        (unknown, "refused", "not_found"),
    ]
    shown = api.get(f"/api/v1/jobs/{answer.json()['job_id']}").json()
    assert (shown["kind"], shown["total"], shown["gallery_id"]) == ("move", 1, str(target.id))
    assert (shown["counts"]["pending"], shown["requested_by"]) == (1, user.username)


def test_one_photo_moves(api: Client, gallery: Gallery, target: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    answer = post(api, f"/photos/{photo.id}/move", gallery_id=str(target.id))
    assert (answer.status_code, answer.json()["state"]) == (202, "moving")
    assert api.get(f"/api/v1/photos/{photo.id}").json()["state"] == "moving"
    assert api.get(f"/api/v1/galleries/{target.id}/progress").json()["moving"] == 1


def test_one_photo_that_the_target_has_is_a_conflict(api: Client, gallery: Gallery, target: Gallery) -> None:
    photo = add_photo(gallery)
    add_photo(target)
    answer = post(api, f"/photos/{photo.id}/move", gallery_id=str(target.id))
    assert (answer.status_code, answer.json()["code"]) == (409, "already_there")
    same = post(api, f"/photos/{photo.id}/move", gallery_id=str(gallery.id))
    assert (same.status_code, same.json()["code"]) == (409, "same_gallery")


@pytest.mark.parametrize(
    ("in_source", "in_target", "status"),
    [
        (None, Level.EDITOR, 404),
        (Level.VIEWER, Level.EDITOR, 403),
        (Level.EDITOR, None, 404),
        (Level.EDITOR, Level.VIEWER, 403),
        (Level.EDITOR, Level.EDITOR, 202),
    ],
)
def test_a_move_takes_an_editor_of_both_galleries(
    gallery: Gallery,
    target: Gallery,
    stranger: User,
    in_source: Level | None,
    in_target: Level | None,
    status: int,
) -> None:
    photo = add_photo(gallery)
    for each, level in ((gallery, in_source), (target, in_target)):
        if level is not None:
            Member.objects.create(gallery=each, user=stranger, level=level)
    client, to = client_of(stranger), str(target.id)
    many = post(client, f"/galleries/{gallery.id}/photos/move", gallery_id=to, photo_ids=ids(photo))
    assert many.status_code == status
    photo.refresh_from_db()
    assert (photo.gallery == target) == (status == 202)
    if status != 202:
        assert post(client, f"/photos/{photo.id}/move", gallery_id=to).status_code == status


def test_a_key_moves_photos_between_its_galleries_only(
    client: Client, gallery: Gallery, target: Gallery, user: User
) -> None:
    photo = add_photo(gallery)

    def status_with(*scopes: Scope, galleries: list[Gallery]) -> int:
        _, token = key_create(user=user, name="key", scopes=scopes, galleries=galleries)
        client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return int(post(client, f"/photos/{photo.id}/move", gallery_id=str(target.id)).status_code)

    assert status_with(Scope.READ, galleries=[gallery, target]) == 403
    assert status_with(Scope.WRITE, galleries=[gallery]) == 404
    assert status_with(Scope.WRITE, galleries=[target]) == 404
    assert status_with(Scope.WRITE, galleries=[gallery, target]) == 202


@pytest.mark.parametrize("action", ["delete", "retry", "move"])
@pytest.mark.parametrize(("level", "status"), [(None, 404), (Level.VIEWER, 403)])
def test_whoever_may_not_edit_changes_nothing(
    gallery: Gallery, target: Gallery, stranger: User, action: str, level: Level | None, status: int
) -> None:
    photo = add_photo(gallery)
    if level is not None:
        Member.objects.create(gallery=gallery, user=stranger, level=level)
    body = {"photo_ids": ids(photo)} | ({"gallery_id": str(target.id)} if action == "move" else {})
    assert post(client_of(stranger), f"/galleries/{gallery.id}/photos/{action}", **body).status_code == status
    photo.refresh_from_db()
    assert (photo.state, photo.gallery) == ("pending", gallery)


@pytest.mark.parametrize(
    "body",
    [{}, {"photo_ids": []}, {"photo_ids": ["x"]}, {"photo_ids": [str(uuid.uuid4())] * 501}, {"photo_ids": None}],
    ids=["none", "empty", "no id", "too many", "null"],
)
@pytest.mark.parametrize("action", ["delete", "move"])
def test_photos_must_be_named_and_not_too_many(
    api: Client, gallery: Gallery, target: Gallery, action: str, body: dict[str, Any]
) -> None:
    extra = {"gallery_id": str(target.id)} if action == "move" else {}
    assert post(api, f"/galleries/{gallery.id}/photos/{action}", **body, **extra).status_code == 422


def test_unknown_fields_are_refused(api: Client, gallery: Gallery) -> None:
    body = {"photo_ids": ids(add_photo(gallery)), "force": True}
    assert post(api, f"/galleries/{gallery.id}/photos/delete", **body).status_code == 422


def test_an_editor_gets_no_files_by_moving_them_to_a_gallery_of_their_own(
    gallery: Gallery, their_gallery: Gallery, stranger: User
) -> None:
    Member.objects.create(gallery=gallery, user=stranger, level=Level.EDITOR)
    photo, editor, to = add_photo(gallery), client_of(stranger), str(their_gallery.id)
    one = post(editor, f"/photos/{photo.id}/move", gallery_id=to)
    many = post(editor, f"/galleries/{gallery.id}/photos/move", gallery_id=to, photo_ids=ids(photo))
    page = editor.post(f"/photos/{photo.id}/move/", {"target": to})
    assert [answer.status_code for answer in (one, many, page)] == [403, 403, 403]
    assert one.json()["code"] == many.json()["code"] == "download_not_allowed"

    Gallery.objects.filter(id=gallery.id).update(may_download=True)
    assert post(editor, f"/photos/{photo.id}/move", gallery_id=to).status_code == 202


def test_a_photo_that_moves_away_while_it_is_to_be_deleted_is_not_found(
    api: Client, gallery: Gallery, target: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, find = add_photo(gallery), selectors.photo_for

    def find_and_move(*args: Any) -> Photo:
        found = find(*args)
        photos_move(source=gallery, target=target, photo_ids=[photo.id])
        return found

    monkeypatch.setattr(selectors, "photo_for", find_and_move)
    answer = api.delete(f"/api/v1/photos/{photo.id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

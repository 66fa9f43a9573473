"""The API of galleries and photos."""

from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.unit.webapp.conftest import (
    WatchedQueue,
    add_indexed_photo,
    add_photo,
    face_info,
    failed,
    record,
    upload,
)
from webapp.gallery import selectors, services
from webapp.gallery.models import Gallery, Level, Member, Photo
from webapp.http.problems import Problem
from webapp.indexing import deleting
from webapp.jobs.models import Job
from webapp.people import services as people


@pytest.fixture
def api(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_galleries_are_created_and_listed(api: Client, their_gallery: Gallery) -> None:
    created = api.post("/api/v1/galleries", {"name": "Holiday"}, content_type="application/json")
    assert created.status_code == 201
    assert created.json()["name"] == "Holiday"
    assert api.get("/api/v1/galleries").json() == {"items": [created.json()], "next_cursor": None}
    assert api.get(created["Location"]).json() == created.json()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "Friends"}, 409, "gallery_exists"),
        ({"name": " "}, 400, "gallery_name"),
        ({}, 422, "invalid_request"),
    ],
)
def test_a_gallery_that_cannot_be_made(api: Client, gallery: Gallery, body: Any, status: int, code: str) -> None:
    response = api.post("/api/v1/galleries", body, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response["Content-Type"] == "application/problem+json"


def test_each_uploaded_file_has_its_result(api: Client, gallery: Gallery, settings: Any) -> None:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"MAX_IMAGE_BYTES": 10}
    files = [upload(b"1", "a.jpg"), upload(b"1", "b.jpg"), upload(b"x" * 11, "c.jpg"), upload(b"", "d.jpg")]
    response = api.post(f"/api/v1/galleries/{gallery.id}/photos", {"files": files})
    assert response.status_code == 202
    results = response.json()["files"]
    assert [(file["filename"], file["result"], file["code"]) for file in results] == [
        ("a.jpg", "added", ""),
        ("b.jpg", "already_there", ""),
        ("c.jpg", "refused", "image_too_large"),
        ("d.jpg", "added", ""),
    ]
    assert results[0]["photo_id"] == results[1]["photo_id"]
    assert response.json()["warning"] == ""


def test_an_upload_while_the_queue_is_down_is_accepted(api: Client, gallery: Gallery, queue: WatchedQueue) -> None:
    queue.is_down = True
    response = api.post(f"/api/v1/galleries/{gallery.id}/photos", {"files": upload()})
    assert response.status_code == 202
    assert response.json()["warning"]


def body_of(response: Any) -> bytes:
    async def read() -> bytes:
        return b"".join([piece async for piece in response])

    content: bytes = async_to_sync(read)() if response.streaming else response.content
    return content


def listed(api: Client, address: str, **query: Any) -> list[Any]:
    """Everything in a list, read in parts of two; no row comes twice."""
    items: list[Any] = []
    cursor = ""
    while True:
        response = api.get(address, {"limit": 2, "cursor": cursor, **query})
        assert response.status_code == 200, response.json()
        part = response.json()
        items += part["items"]
        if part["next_cursor"] is None:
            assert len({each["id"] for each in items}) == len(items)
            return items
        assert len(part["items"]) == 2
        cursor = part["next_cursor"]


def test_galleries_are_listed_by_name_and_found_by_it(api: Client, user: User, their_gallery: Gallery) -> None:
    for name in ("René", "Ada", "Émile", "Bob", "Zoë"):
        services.gallery_create(owner=user, name=name)
    names = [each["name"] for each in listed(api, "/api/v1/galleries")]
    assert names == sorted(names)
    assert len(names) == 5
    (found,) = listed(api, "/api/v1/galleries", name=" Rene\u0301 ")
    assert found["name"] == "René"
    assert listed(api, "/api/v1/galleries", name=their_gallery.name) == []


def test_a_gallery_is_renamed(api: Client, gallery: Gallery, user: User) -> None:
    address = f"/api/v1/galleries/{gallery.id}"
    services.gallery_create(owner=user, name="Taken")
    renamed = api.patch(address, {"name": " New  name "}, content_type="application/json")
    assert (renamed.status_code, renamed.json()["name"]) == (200, "New name")
    assert api.get(address).json() == renamed.json()
    for name, status, code in (("Taken", 409, "gallery_exists"), ("\u200b", 400, "gallery_name")):
        refused = api.patch(address, {"name": name}, content_type="application/json")
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert api.patch(address, {}, content_type="application/json").json() == renamed.json()


def test_a_gallery_is_deleted_with_its_photos(api: Client, gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    address = f"/api/v1/galleries/{gallery.id}"
    deleted = api.delete(address)
    assert deleted.status_code == 202
    assert deleted.json() == {"gallery_id": str(gallery.id), "warning": ""}
    assert queue.removed_ids == [str(photo.id)]
    assert api.get(address).status_code == api.delete(address).status_code == 404
    assert api.get("/api/v1/galleries").json()["items"] == []


def test_the_deletion_of_a_gallerys_photos_is_the_job_of_whoever_asked(
    api: Client, user: User, gallery: Gallery, queue: WatchedQueue
) -> None:
    for content in (b"1", b"2"):
        add_photo(gallery, content)
    api.delete(f"/api/v1/galleries/{gallery.id}")
    assert Job.objects.get(kind=Job.Kind.DELETE).requested_by == user


def test_the_owner_says_whether_members_may_download_files(api: Client, user: User, their_gallery: Gallery) -> None:
    Member.objects.create(gallery=their_gallery, user=user, level=Level.EDITOR)
    photo = add_indexed_photo(their_gallery)
    refused = api.get(f"/api/v1/photos/{photo.id}/file")
    assert (refused.status_code, refused.json()["code"]) == (403, "download_not_allowed")
    owner = Client()
    owner.force_login(their_gallery.owner)
    address = f"/api/v1/galleries/{their_gallery.id}"
    assert owner.get(f"/api/v1/photos/{photo.id}/file").status_code == 200
    changed = owner.patch(address, {"may_download": True}, content_type="application/json")
    assert (changed.json()["may_download"], changed.json()["name"]) == (True, their_gallery.name)
    assert api.get(f"/api/v1/photos/{photo.id}/file").status_code == 200


def test_the_former_owner_of_a_gallery_changes_it_no_more(gallery: Gallery, stranger: User) -> None:
    Gallery.objects.filter(id=gallery.id).update(owner=stranger)
    with pytest.raises(Problem) as caught:
        services.gallery_change(gallery=gallery, name="Mine")
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("level", [Level.VIEWER, Level.EDITOR])
def test_only_its_owner_changes_and_deletes_a_gallery(
    api: Client, user: User, their_gallery: Gallery, level: Level
) -> None:
    Member.objects.create(gallery=their_gallery, user=user, level=level)
    address = f"/api/v1/galleries/{their_gallery.id}"
    assert api.get(address).status_code == 200
    for refused in (api.patch(address, {"name": "Mine"}, content_type="application/json"), api.delete(address)):
        assert (refused.status_code, refused.json()["code"]) == (403, "level_too_low")


# -- photos -------------------------------------------------------------------------------------------------


def test_photos_are_listed_in_parts_in_every_order(api: Client, gallery: Gallery) -> None:
    photos = [add_photo(gallery, bytes([number]), f"{'cabde'[number]}.jpg") for number in range(5)]
    Photo.objects.filter(id__in=[photos[1].id, photos[2].id]).update(created=photos[3].created)
    address = f"/api/v1/galleries/{gallery.id}/photos"
    by_name = [each["filename"] for each in listed(api, address, sort="filename")]
    assert by_name == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    assert [each["filename"] for each in listed(api, address, sort="-filename")] == by_name[::-1]
    oldest = [each["id"] for each in listed(api, address, sort="created")]
    assert (oldest[0], oldest[-1]) == (str(photos[0].id), str(photos[4].id))
    assert [each["id"] for each in listed(api, address)] == oldest[::-1]


def test_photos_are_listed_by_folder_and_by_when_they_were_taken(api: Client, gallery: Gallery) -> None:
    early, late, undated = (add_photo(gallery, bytes([number]), f"{number}.jpg") for number in range(3))
    for photo, folder, day in ((early, "2024", 1), (late, "2024/Ibiza", 2)):
        taken_at = datetime(2024, 6, day, 23, 59, tzinfo=UTC)
        Photo.objects.filter(id=photo.id).update(folder=folder, taken_at=taken_at)
    address = f"/api/v1/galleries/{gallery.id}/photos"

    def found(**query: str) -> list[str]:
        return [each["id"] for each in listed(api, address, **query)]

    by_date = [str(photo.id) for photo in (early, late, undated)]
    assert found(sort="taken_at") == by_date
    assert found(sort="-taken_at") == by_date[::-1]
    assert found(folder="2024", sort="taken_at") == by_date[:2]
    assert found(folder="2024/Ibiza/") == [str(late.id)]
    Photo.objects.filter(id=late.id).update(folder="2024/Ibiza/Beach")
    assert found(folder="2024/Ibiza") == [str(late.id)]
    assert found(folder="2024/ibiza") == [], "folders are told apart by A and a, here and below"
    assert found(taken_from="2024-06-02") == [str(late.id)]
    assert found(taken_before="2024-06-02") == [str(early.id)]
    assert found(taken_from="2024-06-02", taken_before="2024-06-02") == []


def test_photos_are_listed_by_state_person_name_and_time(api: Client, gallery: Gallery) -> None:
    ada = add_indexed_photo(gallery, face_info(), face_info(left=99), content=b"x", name="Ada & Bob 100%_1.jpg")
    person = people.face_name(face=ada.faces.all()[0], name="Ada")
    assert person is not None
    people.face_name(face=ada.faces.all()[1], name="Ada")
    pending = add_photo(gallery, b"y", "grace.jpg")
    address = f"/api/v1/galleries/{gallery.id}/photos"

    def names(**query: Any) -> list[str]:
        return [each["filename"] for each in listed(api, address, **query)]

    (row,) = listed(api, address, state="indexed")
    assert (row["id"], row["face_count"], row["image_format"]) == (str(ada.id), 2, "JPEG")
    assert names(person_id=person.id) == names(filename="ada &") == names(filename="0%_") == [ada.filename]
    assert names(filename="0%%") == names(filename="*") == names(person_id=gallery.id) == []
    assert names(created_before=pending.created.isoformat()) == [ada.filename]
    assert names(created_from=pending.created.isoformat()) == [pending.filename]
    deleting.photos_delete(gallery=gallery, photo_ids=[ada.id])
    assert names() == [pending.filename]
    assert names(state="deleting") == [ada.filename]
    Photo.objects.filter(id=ada.id).update(state=Photo.State.INDEXED)
    assert names(state="", filename="", created_from="", sort="") == [pending.filename, ada.filename]


@pytest.mark.parametrize(
    "query",
    [
        "state=nonsense",
        "person_id=1",
        "filename=" + "x" * 256,
        "created_from=yesterday",
        "created_before=1e400",
        "created_from=99999999999999999999",
        "created_from=2026-01-01T00:00:00",
        "created_before=9999-12-31T23:59:59-23:59",
        "created_from=0001-01-01T00:00:00%2B23:59",
        "sort=size",
        "limit=0",
        "limit=501",
        "limit=1.5",
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(api: Client, gallery: Gallery, query: str) -> None:
    response = api.get(f"/api/v1/galleries/{gallery.id}/photos?{query}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


def test_the_cursor_of_another_list_is_refused(api: Client, gallery: Gallery) -> None:
    for number in range(3):
        add_photo(gallery, bytes([number]))
    address = f"/api/v1/galleries/{gallery.id}/photos"
    cursor = api.get(address, {"limit": 1}).json()["next_cursor"]
    assert api.get(address, {"cursor": cursor}).status_code == 200
    for elsewhere, query in (("/api/v1/galleries", {}), (address, {"sort": "created"})):
        refused = api.get(elsewhere, {"cursor": cursor, **query})
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_cursor")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Plans of SQLite.")
@pytest.mark.parametrize("sort", ["-created", "created", "-taken_at", "taken_at", "filename", "-filename"])
def test_no_part_of_a_list_sorts_or_scans_the_whole_gallery(api: Client, gallery: Gallery, sort: str) -> None:
    for number in range(4):
        add_photo(gallery, bytes([number]), f"{number}.jpg")
    address = f"/api/v1/galleries/{gallery.id}/photos"
    cursor = api.get(address, {"limit": 2, "sort": sort}).json()["next_cursor"]
    with CaptureQueriesContext(connection) as queries:
        api.get(address, {"limit": 2, "sort": sort, "cursor": cursor})
    (query,) = (each["sql"] for each in queries if 'ORDER BY "gallery_photo"' in each["sql"])
    plan = plan_of(query)
    column = sort.removeprefix("-").replace("taken_at", "dated_at")
    assert f"USING INDEX photo_gallery_{column.removesuffix('_at')} (gallery_id=? AND {column}" in plan
    assert "TEMP B-TREE FOR ORDER BY" not in plan


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Plans of SQLite.")
def test_a_persons_photos_are_found_by_their_faces_and_not_by_scanning_the_gallery(
    api: Client, gallery: Gallery
) -> None:
    face = add_indexed_photo(gallery).faces.get()
    person = people.face_name(face=face, name="Ada")
    assert person is not None
    for path in (f"people/{person.id}/photos", f"galleries/{gallery.id}/photos?person_id={person.id}"):
        with CaptureQueriesContext(connection) as queries:
            assert len(api.get(f"/api/v1/{path}").json()["items"]) == 1
        plan = plan_of(next(each["sql"] for each in queries if 'ORDER BY "gallery_photo"' in each["sql"]))
        assert "SEARCH gallery_photo USING INDEX sqlite_autoindex_gallery_photo_1 (id=?)" in plan


def plan_of(query: str) -> str:
    with connection.cursor() as database:
        database.execute("EXPLAIN QUERY PLAN " + query.replace("%", "%%"))
        return " | ".join(str(row[-1]) for row in database.fetchall())


def test_the_file_of_a_photo_is_served_whole_and_in_parts(
    api: Client, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = add_indexed_photo(gallery, content=b"0123456789")
    address = f"/api/v1/photos/{photo.id}/file"
    whole = api.get(address)
    assert (whole.status_code, body_of(whole), whole["Content-Type"]) == (200, b"0123456789", "image/jpeg")
    assert (whole["Accept-Ranges"], whole["ETag"]) == ("bytes", f'"{photo.sha256}"')
    for piece_bytes in (100, 2):  # in memory, and as a stream
        monkeypatch.setattr("webapp.gallery.files.PIECE_BYTES", piece_bytes)
        for wanted, part in (
            ("0-3", b"0123"),
            ("4-", b"456789"),
            ("-3", b"789"),
            ("-30", b"0123456789"),
            ("8-99", b"89"),
        ):
            answer = api.get(address, headers={"Range": f"bytes={wanted}"})
            assert (answer.status_code, body_of(answer)) == (206, part)
            assert int(answer["Content-Length"]) == len(part)
            begin = b"0123456789".index(part)
            assert answer["Content-Range"] == f"bytes {begin}-{begin + len(part) - 1}/10"


@pytest.mark.parametrize("wanted", ["bytes=3-1", "bytes=0-1,4-5", "bytes=x-", "bytes=-", "lines=0-1", "bytes=", "0-1"])
def test_what_is_no_part_gets_the_whole_file(api: Client, gallery: Gallery, wanted: str) -> None:
    photo = add_indexed_photo(gallery, content=b"0123456789")
    assert api.get(f"/api/v1/photos/{photo.id}/file", headers={"Range": wanted}).status_code == 200


@pytest.mark.parametrize("wanted", ["10-", "99-100", "-0"])
def test_a_part_behind_the_end_is_refused(api: Client, gallery: Gallery, wanted: str) -> None:
    photo = add_indexed_photo(gallery, content=b"0123456789")
    answer = api.get(f"/api/v1/photos/{photo.id}/file", headers={"Range": f"bytes={wanted}"})
    assert (answer.status_code, answer["Content-Range"], answer.json()["code"]) == (
        416,
        "bytes */10",
        "range_not_satisfiable",
    )


def test_the_rest_of_a_file_is_sent_only_if_it_is_the_same_file(api: Client, gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery, content=b"0123456789")
    address = f"/api/v1/photos/{photo.id}/file"
    whole = api.get(address)
    for same_as, status in (
        (whole["ETag"], 206),
        (whole["Last-Modified"], 206),
        ('"other"', 200),
        ("W/" + whole["ETag"], 200),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 200),
    ):
        assert api.get(address, headers={"Range": "bytes=4-", "If-Range": same_as}).status_code == status


@pytest.mark.parametrize(
    ("header", "given", "status"),
    [
        ("If-None-Match", "{etag}", 304),
        ("If-None-Match", "W/{etag}", 304),
        ("If-None-Match", '"other", {etag}', 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", '"other"', 200),
        ("If-Modified-Since", "{date}", 304),
        ("If-Modified-Since", "Sat, 01 Jan 2000 00:00:00 GMT", 200),
        ("If-Unmodified-Since", "{date}", 200),
        ("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT", 412),
        ("If-Match", "{etag}", 200),
        ("If-Match", '"other"', 412),
    ],
)
def test_a_file_is_served_on_condition(api: Client, gallery: Gallery, header: str, given: str, status: int) -> None:
    address = f"/api/v1/photos/{add_indexed_photo(gallery, content=b'0123456789').id}/file"
    whole = api.get(address)
    value = given.format(etag=whole["ETag"], date=whole["Last-Modified"])
    for method in (api.get, api.head):
        assert method(address, headers={header: value}).status_code == status


def test_a_photo_that_failed_is_indexed_again(api: Client, gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_photo(gallery)
    address = f"/api/v1/photos/{photo.id}/retry"
    refused = api.post(address)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_failed")
    record(gallery, failed(photo, "gave_up"))
    queue.forget()
    retried = api.post(address)
    assert retried.status_code == 202
    job = Job.objects.get(kind=Job.Kind.RETRY)
    assert retried.json() == {"photo_id": str(photo.id), "state": "pending", "job_id": str(job.id), "warning": ""}
    assert queue.indexed_ids == [str(photo.id)]


def test_the_faces_of_a_photo_are_listed_from_left_to_right(api: Client, gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery, *(face_info(left=left) for left in (30, 10, 20, 10)))
    faces = listed(api, f"/api/v1/photos/{photo.id}/faces")
    assert [face["box"]["left"] for face in faces] == [10, 10, 20, 30]
    assert faces == api.get(f"/api/v1/photos/{photo.id}").json()["faces"]
    assert api.get(f"/api/v1/faces/{faces[0]['id']}").json() == faces[0]
    assert faces[0]["photo_id"] == str(photo.id)


def test_progress_names_every_state(api: Client, gallery: Gallery) -> None:
    add_photo(gallery)
    progress = api.get(f"/api/v1/galleries/{gallery.id}/progress").json()
    assert progress == dict.fromkeys(Photo.State, 0) | {"pending": 1}


def test_a_photo_is_deleted(api: Client, gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    response = api.delete(f"/api/v1/photos/{photo.id}")
    assert (response.status_code, response.json()["state"]) == (202, "deleting")
    assert Photo.objects.get().state == Photo.State.DELETING
    assert api.delete(f"/api/v1/photos/{photo.id}").json()["code"] == "not_found"


def test_without_a_session_nothing_is_answered(db: None) -> None:
    response = Client().get("/api/v1/galleries")
    assert (response.status_code, response.json()["code"]) == (401, "not_logged_in")


def test_writing_needs_the_csrf_token(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    response = client.post("/api/v1/galleries", {"name": "x"}, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (403, "csrf")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(OperationalError("gone"), 503, "database_unavailable"), (RuntimeError("a secret"), 500, "internal")],
)
def test_what_breaks_here_is_a_sentence_too(
    api: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(selectors, "galleries_named", broken)
    response = api.get("/api/v1/galleries")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "secret" not in response.json()["detail"]


def test_the_documentation_is_served_from_here(api: Client) -> None:
    shown = api.get("/api/v1/docs")
    assert shown.status_code == 200
    assert "cdn" not in shown.content.decode()
    assert "/api/v1/galleries/{gallery_id}/searches" in api.get("/api/v1/openapi.json").json()["paths"]

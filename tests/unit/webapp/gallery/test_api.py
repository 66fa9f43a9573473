"""The API of galleries and photos."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client

from tests.unit.webapp.conftest import WatchedQueue, add_indexed_photo, add_photo, face_info, upload
from webapp.gallery import selectors
from webapp.gallery.models import Gallery, Photo


@pytest.fixture
def api(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_galleries_are_created_and_listed(api: Client, their_gallery: Gallery) -> None:
    created = api.post("/api/v1/galleries", {"name": "Holiday"}, content_type="application/json")
    assert created.status_code == 201
    assert created.json()["name"] == "Holiday"
    assert [gallery["id"] for gallery in api.get("/api/v1/galleries").json()] == [created.json()["id"]]


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


def test_photos_are_listed_by_state_and_page(api: Client, gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.gallery.api.photos.PAGE_SIZE", 2)
    photo = add_indexed_photo(gallery, face_info(), face_info(left=99), content=b"x")
    for number in range(3):
        add_photo(gallery, bytes([number]))
    address = f"/api/v1/galleries/{gallery.id}/photos"
    first = api.get(address).json()
    assert (len(first["photos"]), first["page"], first["pages"], first["total"]) == (2, 1, 2, 4)
    assert api.get(address + "?page=9").json()["photos"] == []
    (row,) = api.get(address + "?state=indexed").json()["photos"]
    assert (row["id"], row["face_count"], row["image_format"]) == (str(photo.id), 2, "JPEG")
    assert api.get(address + "?state=nonsense").json()["code"] == "invalid_request"


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
    def broken(_: Any) -> None:
        raise error

    monkeypatch.setattr(selectors, "galleries_for", broken)
    response = api.get("/api/v1/galleries")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "secret" not in response.json()["detail"]


def test_the_documentation_is_served_from_here(api: Client) -> None:
    shown = api.get("/api/v1/docs")
    assert shown.status_code == 200
    assert "cdn" not in shown.content.decode()
    assert "/api/v1/galleries/{gallery_id}/searches" in api.get("/api/v1/openapi.json").json()["paths"]

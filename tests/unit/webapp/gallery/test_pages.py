"""The pages: what they show, to whom, with and without JavaScript."""

import re
import uuid
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils.module_loading import import_string

from tasks.messages.base import ErrorInfo
from tasks.messages.search import SearchResult
from tasks.web.memory import MemorySearchClient
from tests.unit.webapp.conftest import (
    WatchedQueue,
    add_indexed_photo,
    add_photo,
    face_info,
    failed,
    record,
    upload,
)
from tests.unit.webapp.search.test_api import answer_with
from webapp.gallery.models import Gallery, Photo
from webapp.gallery.services import gallery_create
from worker.reasons import Reason


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return response.content.decode()


# -- who may see what ---------------------------------------------------------------------------------------


def test_pages_ask_for_a_login(gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    for address in (
        "/",
        f"/galleries/{gallery.id}/",
        f"/galleries/{gallery.id}/search/",
        f"/photos/{photo.id}/",
        f"/photos/{photo.id}/original/",
        f"/photos/{photo.id}/thumbnail/{photo.renditions}.jpg",
        f"/photos/{photo.id}/preview/{photo.renditions}.jpg",
        f"/faces/{photo.faces.get().id}/crop/{photo.faces.get().crop}.jpg",
        "/searches/x/",
        "/jobs/",
        "/status/",
    ):
        response = Client().get(address)
        assert response.status_code == 302, address
        assert response["Location"].startswith("/login/")


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("get", "/galleries/{gallery}/"),
        ("get", "/galleries/{gallery}/grid/"),
        ("get", "/galleries/{gallery}/changes/"),
        ("get", "/galleries/{gallery}/search/"),
        ("post", "/galleries/{gallery}/search/"),
        ("post", "/galleries/{gallery}/photos/"),
        ("post", "/galleries/{gallery}/retry/"),
        ("get", "/galleries/{gallery}/delete/"),
        ("post", "/galleries/{gallery}/delete/"),
        ("get", "/photos/{photo}/"),
        ("get", "/photos/{photo}/original/"),
        ("post", "/photos/{photo}/retry/"),
        ("post", "/photos/{photo}/delete/"),
        ("get", "/api/v1/galleries/{gallery}/photos"),
        ("post", "/api/v1/galleries/{gallery}/photos"),
        ("get", "/api/v1/galleries/{gallery}/progress"),
        ("delete", "/api/v1/photos/{photo}"),
    ],
)
def test_what_belongs_to_another_user_is_not_found(
    page: Client,
    their_gallery: Gallery,
    queue: WatchedQueue,
    face_search: MemorySearchClient,
    method: str,
    address: str,
) -> None:
    photo = add_indexed_photo(their_gallery)
    field = "files" if address.startswith("/api/") else "image" if "search" in address else "photos"
    files = {field: upload()} if method == "post" else {}
    response = getattr(page, method)(address.format(gallery=their_gallery.id, photo=photo.id), files)
    assert response.status_code == 404
    photo.refresh_from_db()
    assert photo.state == Photo.State.INDEXED
    assert queue.removed == []


def test_what_is_not_there_answers_the_same(page: Client, their_gallery: Gallery) -> None:
    theirs, nobodys = page.get(f"/galleries/{their_gallery.id}/"), page.get(f"/galleries/{uuid.uuid4()}/")
    without_tokens = [re.sub(r'csrfmiddlewaretoken" value="\w+', "", text(response)) for response in (theirs, nobodys)]
    assert without_tokens[0] == without_tokens[1]
    assert "There is no such gallery." in text(theirs)


# -- log in and out -----------------------------------------------------------------------------------------


def test_log_in_and_out(user: User) -> None:
    client = Client()
    wrong = client.post("/login/", {"username": "ada", "password": "wrong"})
    assert "Wrong name or password" in text(wrong)
    assert client.post("/login/", {"username": "ada", "password": "lovelace"})["Location"] == "/"
    assert "Log out ada" in text(client.get("/"))
    assert client.post("/logout/")["Location"] == "/login/"


# -- galleries ----------------------------------------------------------------------------------------------


def test_galleries_are_created_and_listed(page: Client, their_gallery: Gallery) -> None:
    response = page.post("/", {"name": "Holiday"}, follow=True)
    assert "Holiday" in text(response)
    gallery = Gallery.objects.get(name="Holiday")
    add_indexed_photo(gallery, face_info(), face_info(left=99))
    listed = text(page.get("/"))
    assert "1 photo<" in listed
    assert their_gallery.name not in listed


def test_a_taken_name_is_told_in_one_sentence(page: Client, gallery: Gallery) -> None:
    response = page.post("/", {"name": gallery.name})
    assert response.status_code == 409
    assert "You already have a gallery named" in text(response)


def test_deleting_a_gallery_asks_first(page: Client, gallery: Gallery) -> None:
    add_photo(gallery)
    assert "Its 1 photo and" in text(page.get(f"/galleries/{gallery.id}/delete/"))
    assert "is deleted" in text(page.post(f"/galleries/{gallery.id}/delete/", follow=True))
    assert page.get(f"/galleries/{gallery.id}/").status_code == 404


# -- photos -------------------------------------------------------------------------------------------------


def test_an_upload_tells_what_became_of_each_file(page: Client, gallery: Gallery, settings: Any) -> None:
    settings.FACE_CONFIG = settings.FACE_CONFIG | {"MAX_IMAGE_BYTES": 10}
    files = [upload(b"1", "a.jpg"), upload(b"1", "copy.jpg"), upload(b"x" * 11, "<big>.jpg")]
    shown = text(page.post(f"/galleries/{gallery.id}/photos/", {"photos": files}, follow=True))
    assert "1 photo added." in shown
    assert "1 photo already here" in shown
    assert '&lt;big&gt;.jpg: <span class="why">The file has' in shown


def test_an_upload_without_files_says_so(page: Client, gallery: Gallery) -> None:
    assert "choose at least one photo" in text(page.post(f"/galleries/{gallery.id}/photos/", follow=True))


def test_an_upload_while_the_queue_is_down_is_kept(page: Client, gallery: Gallery, queue: WatchedQueue) -> None:
    queue.is_down = True
    shown = text(page.post(f"/galleries/{gallery.id}/photos/", {"photos": upload()}, follow=True))
    assert "1 photo added." in shown
    assert "the work is saved" in shown


def test_failed_photos_are_sent_again(page: Client, gallery: Gallery, queue: WatchedQueue) -> None:
    photos = [add_photo(gallery, b"1"), add_photo(gallery, b"2")]
    record(gallery, *[failed(photo, "gave_up") for photo in photos])
    queue.forget()
    page.post(f"/photos/{photos[0].id}/retry/")
    assert queue.indexed_ids == [str(photos[0].id)]
    assert "1 photo sent again" in text(page.post(f"/galleries/{gallery.id}/retry/", follow=True))
    assert queue.indexed_ids == [str(photo.id) for photo in photos]


def test_a_photo_is_deleted(page: Client, gallery: Gallery, queue: WatchedQueue) -> None:
    photo = add_indexed_photo(gallery)
    assert "is being deleted" in text(page.post(f"/photos/{photo.id}/delete/", follow=True))
    assert queue.removed_ids == [str(photo.id)]
    assert page.get(f"/photos/{photo.id}/").status_code == 404
    assert page.get(f"/photos/{photo.id}/original/").status_code == 404


# -- files --------------------------------------------------------------------------------------------------


def test_a_file_is_served_as_the_picture_it_is(page: Client, gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery, content=b"<script>", name="x.html")
    response = page.get(f"/photos/{photo.id}/original/")
    assert response.content == b"<script>"
    assert response["Content-Type"] == "image/jpeg"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response["Cache-Control"].startswith("private")
    assert page.get(f"/photos/{photo.id}/original/", headers={"If-None-Match": response["ETag"]}).status_code == 304


def test_head_tells_the_length_of_the_whole_file_without_its_bytes(page: Client, gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery, content=b"0123456789")
    response = page.head(f"/photos/{photo.id}/original/", headers={"Range": "bytes=2-3"})
    assert (response.status_code, response["Content-Length"], response.content) == (200, "10", b"")
    assert response["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("image_format", ["", "SVG", "EPS"])
def test_a_file_no_worker_knows_is_saved_and_not_shown(page: Client, gallery: Gallery, image_format: str) -> None:
    photo = add_indexed_photo(gallery, name="x.svg")
    Photo.objects.update(image_format=image_format)
    response = page.get(f"/photos/{photo.id}/original/")
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == 'attachment; filename="x.svg"'


# -- search -------------------------------------------------------------------------------------------------


def search(page: Client, gallery: Gallery) -> Any:
    return page.post(f"/galleries/{gallery.id}/search/", {"image": upload()})


def test_a_search_without_javascript_waits_and_shows(
    page: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    photo = add_indexed_photo(gallery)
    face_search.result = answer_with(photo)
    response = search(page, gallery)
    assert response.status_code == 302
    assert face_search.waited == [10.0]
    shown = text(page.get(response["Location"]))
    assert "similarity 0.900" in shown
    assert f'href="/photos/{photo.id}/?face={photo.faces.get().id}"' in shown
    assert "very likely the same person" in shown
    assert "http-equiv" not in shown
    assert "hx-trigger" not in shown


def test_a_search_that_takes_longer_is_polled(page: Client, gallery: Gallery, face_search: MemorySearchClient) -> None:
    address = search(page, gallery)["Location"]
    waiting = text(page.get(address))
    assert "Searching…" in waiting
    assert 'hx-trigger="every 1s"' in waiting
    assert '<noscript><meta http-equiv="refresh"' in waiting
    assert page.get(address, headers={"HX-Request": "true"}).status_code == 200
    face_search.result = SearchResult(reason=Reason("no_face", "There is no face in it."))
    settled = page.get(address, headers={"HX-Request": "true"})
    assert settled.status_code == 286
    assert "There is no face in it." in text(settled)
    assert "<html" not in text(settled)


def test_a_picture_that_is_none_is_told_on_the_form(
    page: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    face_search.result = SearchResult(error=ErrorInfo(code="not_an_image", message="This file is not a picture."))
    response = search(page, gallery)
    assert response.status_code == 400
    assert "This file is not a picture." in text(response)
    assert 'type="file"' in text(response)


def test_a_search_without_a_picture_is_told(page: Client, gallery: Gallery, face_search: MemorySearchClient) -> None:
    response = page.post(f"/galleries/{gallery.id}/search/")
    assert response.status_code == 400
    assert "Please choose a picture" in text(response)


def test_a_search_while_the_queue_is_down(page: Client, gallery: Gallery, face_search: MemorySearchClient) -> None:
    face_search.is_down = True
    response = search(page, gallery)
    assert response.status_code == 503
    assert response.has_header("Retry-After")
    assert "The queue does not answer." in text(response)


def test_the_search_form_checks_csrf(user: User, gallery: Gallery, face_search: MemorySearchClient) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    address = f"/galleries/{gallery.id}/search/"
    assert client.post(address, {"image": upload()}).status_code == 403
    client.get(address)
    token = client.cookies["csrftoken"].value
    assert client.post(address, {"image": upload(), "csrfmiddlewaretoken": token}).status_code == 302
    assert len(face_search.started) == 1


def test_another_users_result_is_not_found(
    page: Client, gallery: Gallery, stranger: User, face_search: MemorySearchClient
) -> None:
    address = search(page, gallery)["Location"]
    thief = Client()
    thief.force_login(stranger)
    assert thief.get(address).status_code == 404
    assert page.get("/searches/forged/").status_code == 404


def test_an_expired_search_says_so(
    page: Client, gallery: Gallery, face_search: MemorySearchClient, settings: Any
) -> None:
    settings.SEARCH_TIMEOUT_SECONDS = 0.0
    response = search(page, gallery)
    assert response.status_code == 504
    assert "No worker answered" in text(response)


# -- every page ---------------------------------------------------------------------------------------------


def test_pages_have_a_policy_and_nothing_inline(
    page: Client, gallery: Gallery, face_search: MemorySearchClient
) -> None:
    photo = add_indexed_photo(gallery)
    for address in ("/", f"/galleries/{gallery.id}/", f"/photos/{photo.id}/", f"/galleries/{gallery.id}/search/"):
        response = page.get(address)
        assert response["Content-Security-Policy"].startswith("default-src 'self'")
        assert "style=" not in text(response)
        assert "<script>" not in text(response)
        assert "//cdn" not in text(response)


@pytest.mark.parametrize("name", django_settings.MIDDLEWARE)
def test_no_middleware_holds_a_thread(name: str) -> None:
    assert getattr(import_string(name), "async_capable", False)


def test_the_owner_renames_a_gallery_and_reads_why_not(page: Client, user: User, gallery: Gallery) -> None:
    gallery_create(owner=user, name="Taken")
    address = f"/galleries/{gallery.id}/rename/"
    assert (
        "<h1>Aunts &amp; uncles</h1>" in page.post(address, {"name": " Aunts & uncles"}, follow=True).content.decode()
    )
    refused = page.post(address, {"name": "Taken"}, follow=True).content.decode()
    assert "You already have a gallery named “Taken”." in refused
    assert "<h1>Aunts &amp; uncles</h1>" in refused

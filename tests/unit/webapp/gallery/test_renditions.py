"""Renditions as the pages and the API serve them."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.test import Client

from tasks.messages.base import ErrorInfo
from tasks.messages.indexing import CaptureInfo
from tasks.storage.photo_files import original_key, photo_files_delete, rendition_save
from tests.unit.webapp.conftest import add_indexed_photo, add_photo, indexed, record, rendered
from webapp.gallery.models import Face, Gallery, Photo
from webapp.indexing import deleting

PAGES, API = "", "/api/v1"


@pytest.fixture
def client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def photo(gallery: Gallery) -> Photo:
    return add_indexed_photo(gallery)


def addresses(photo: Photo, start: str = "") -> dict[str, str]:
    """The addresses of the photo's renditions, and what is there."""
    face = photo.faces.get()
    return {
        f"{start}/photos/{photo.id}/thumbnail/{photo.renditions}.jpg": "thumbnail",
        f"{start}/photos/{photo.id}/preview/{photo.renditions}.jpg": "preview",
        f"{start}/faces/{face.id}/crop/{face.crop}.jpg": str(face.id),
    }


@pytest.mark.parametrize("start", [PAGES, API], ids=["pages", "the API"])
def test_a_rendition_may_be_kept_for_ever_by_its_browser_alone(client: Client, photo: Photo, start: str) -> None:
    for address, content in addresses(photo, start).items():
        response = client.get(address)
        assert response.content == content.encode()
        assert response["Content-Type"] == "image/jpeg"
        assert response["Cache-Control"] == "private, max-age=31536000, immutable"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
        again = client.get(address, headers={"If-None-Match": response["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        part = client.get(address, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, content.encode()[2:5])
        head = client.head(address)
        assert (head["Content-Length"], head.content) == (str(len(content)), b"")


@pytest.mark.parametrize("start", [PAGES, API], ids=["pages", "the API"])
def test_an_address_from_before_leads_to_the_rendition_that_there_is(client: Client, photo: Photo, start: str) -> None:
    old = list(addresses(photo, start))
    rendition_save(photo.id, "thumbnail", "new", b"thumbnail")
    rendition_save(photo.id, "preview", "new", b"preview")
    Photo.objects.update(renditions="new")
    rendition_save(photo.id, "face", "newer", b"face")
    Face.objects.update(crop="newer")
    photo.refresh_from_db()
    for before, now in zip(old, addresses(photo, start), strict=True):
        response = client.get(before)
        assert (response.status_code, response["Location"]) == (302, now)
        assert "no-store" in response["Cache-Control"], "it may be made again tomorrow"
        assert client.get(now).status_code == 200


def test_without_a_rendition_there_is_nothing_at_its_address(client: Client, photo: Photo) -> None:
    known = addresses(photo)
    photo_files_delete(photo.id)
    assert [client.get(address).status_code for address in known] == [404] * 3
    Photo.objects.update(renditions="")
    Face.objects.update(crop="")
    assert [client.get(address).status_code for address in known] == [404] * 3


def test_a_photo_that_is_being_deleted_shows_nothing(client: Client, photo: Photo, gallery: Gallery) -> None:
    known = addresses(photo)
    deleting.photos_delete(gallery=gallery, photo_ids=[photo.id])
    assert [client.get(address).status_code for address in known] == [404] * 3


def test_a_grid_of_sixty_asks_little_for_each(client: Client, photo: Photo, django_assert_max_num_queries: Any) -> None:
    for address in addresses(photo):
        with django_assert_max_num_queries(3):  # the session, its user, and the rendition
            assert client.get(address).status_code == 200


def test_the_api_says_where_renditions_are(client: Client, photo: Photo, gallery: Gallery) -> None:
    thumbnail, preview, crop = addresses(photo, API)
    shown = client.get(f"{API}/photos/{photo.id}").json()
    assert (shown["thumbnail"], shown["preview"], shown["faces"][0]["crop"]) == (thumbnail, preview, crop)
    [listed] = client.get(f"{API}/galleries/{gallery.id}/photos").json()["items"]
    assert (listed["thumbnail"], listed["preview"]) == (thumbnail, preview)
    pending = client.get(f"{API}/photos/{add_photo(gallery, b'2').id}").json()
    assert (pending["thumbnail"], pending["preview"]) == (None, None)


def test_the_api_says_when_and_with_what_a_photo_was_taken_and_what_is_wrong_with_it(
    client: Client, gallery: Gallery
) -> None:
    photo = add_photo(gallery)
    Photo.objects.update(folder="2024/Rome")
    capture = CaptureInfo(taken_at="2024-05-01T10:00:00", utc_offset_minutes=120, camera="Canon EOS R5")
    warning = ErrorInfo(code="image_incomplete", message="A part is missing.")
    record(gallery, rendered(indexed(photo)).model_copy(update={"capture": capture, "warning": warning}))
    shown = client.get(f"{API}/photos/{photo.id}").json()
    assert shown["folder"] == "2024/Rome"
    assert (shown["taken_at"], shown["taken_utc_offset_minutes"]) == ("2024-05-01T10:00:00", 120)
    assert shown["camera"] == "Canon EOS R5"
    assert shown["warning"] == {"code": "image_incomplete", "message": "A part is missing."}


def test_no_address_of_a_page_leads_to_the_original_but_the_download(client: Client, photo: Photo) -> None:
    assert default_storage.exists(original_key(photo.id))
    for name in ("original", "../original", "original.jpg", "..%2Foriginal.jpg"):
        response = client.get(f"/photos/{photo.id}/preview/{name}", follow=True)
        assert response.status_code == 404 or response.content == b"preview"

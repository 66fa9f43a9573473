"""Our own middlewares, in both kinds of server."""

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import AsyncClient, Client

from tests.unit.webapp.conftest import add_indexed_photo
from webapp.gallery import selectors
from webapp.gallery.models import Gallery


@pytest.mark.parametrize("path", ["/static/facequeue.css", "/static/django_htmx/htmx-2.min.js"])
async def test_static_files_come_without_a_view(path: str) -> None:
    response = await AsyncClient().get(path)
    assert response.status_code == 200
    assert not response.streaming
    assert len(response.content) == int(response["Content-Length"]) > 1000
    assert (await AsyncClient().head(path)).content == b""
    unchanged = await AsyncClient().get(path, headers={"If-None-Match": response["ETag"]})
    assert unchanged.status_code == 304


def test_static_files_come_from_a_synchronous_server_too() -> None:
    assert Client().get("/static/facequeue.css")["Content-Type"].startswith("text/css")


async def test_a_static_file_that_is_not_there_is_not_found() -> None:
    assert (await AsyncClient().get("/static/nothing.css")).status_code == 404


def test_a_database_that_is_down_is_a_sentence(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise OperationalError("gone")

    client = Client()
    client.force_login(user)
    monkeypatch.setattr(selectors, "galleries_for", broken)
    response = client.get("/")
    assert response.status_code == 503
    assert "The database does not answer" in response.content.decode()
    assert response.has_header("Retry-After")


def test_the_admin_shows_rows_and_deletes_none(user: User, gallery: Gallery) -> None:
    photo = add_indexed_photo(gallery)
    user.is_staff = user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    for address in ("gallery/", "photo/", "face/", f"gallery/{gallery.id}/change/", f"photo/{photo.id}/change/"):
        assert client.get(f"/admin/gallery/{address}").status_code == 200
    assert client.post(f"/admin/gallery/photo/{photo.id}/delete/").status_code == 403
    assert client.post(f"/admin/gallery/gallery/{gallery.id}/delete/").status_code == 403


def test_pages_of_users_are_kept_by_no_cache(user: User, gallery: Gallery) -> None:
    client = Client()
    client.force_login(user)
    for address in ("/", f"/galleries/{gallery.id}/", "/jobs/", "/account/keys/"):
        assert "no-store" in client.get(address)["Cache-Control"]


@pytest.mark.parametrize("part", ["changes/", "grid/", ""])
async def test_a_part_of_a_page_is_never_the_log_in(gallery: Gallery, part: str) -> None:
    address = f"/galleries/{gallery.id}/{part}"
    assert (await AsyncClient().get(address)).status_code == 302
    asked = await AsyncClient().get(address, headers={"HX-Request": "true"})
    assert asked.status_code == 401
    assert asked.content == b""

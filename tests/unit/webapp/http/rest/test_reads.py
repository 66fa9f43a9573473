"""HEAD wherever there is GET."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.unit.webapp.conftest import add_indexed_photo
from tests.unit.webapp.http.rest.test_parameters import OPERATIONS, Operation, address_of
from webapp.gallery.models import Gallery

GETS = [each for each in OPERATIONS if each.method == "get"]


@pytest.fixture
def api(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("operation", GETS, ids=str)
def test_head_answers_as_get_does_without_a_body(api: Client, face_search: Any, operation: Operation) -> None:
    address = address_of(operation)
    get, head = api.get(address), api.head(address)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head["Content-Type"] == get["Content-Type"]
    assert int(head["Content-Length"]) == len(get.content)


def test_the_document_of_the_api_is_read_like_everything_else(api: Client) -> None:
    address = "/api/v1/openapi.json"
    get, head = api.get(address), api.head(address)
    assert (head.status_code, head["ETag"], head["Content-Length"]) == (200, get["ETag"], str(len(get.content)))
    assert api.get(address, headers={"If-None-Match": get["ETag"]}).status_code == 304


def test_head_of_a_list_has_its_etag(api: Client, gallery: Gallery) -> None:
    get, head = api.get("/api/v1/galleries"), api.head("/api/v1/galleries")
    assert head["ETag"] == get["ETag"]
    assert int(head["Content-Length"]) == len(get.content)
    assert api.head("/api/v1/galleries", headers={"If-None-Match": get["ETag"]}).status_code == 304


def test_head_of_a_file_has_the_length_of_the_whole_and_reads_nothing(
    api: Client, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.gallery.files.PIECE_BYTES", 3)
    photo = add_indexed_photo(gallery, content=b"0123456789")
    head = api.head(f"/api/v1/photos/{photo.id}/file", headers={"Range": "bytes=0-3"})
    assert (head.status_code, head["Content-Length"], head.content) == (200, "10", b"")
    assert head["Content-Type"] == "image/jpeg"


def test_an_address_that_takes_get_says_that_it_takes_head(api: Client) -> None:
    response = api.put(f"/api/v1/galleries/{uuid.uuid4()}")
    assert response.status_code == 405
    assert {"GET", "HEAD", "PATCH", "DELETE"} == {each.strip() for each in response["Allow"].split(",")}
    assert "HEAD" not in api.put("/api/v1/generations/rollback")["Allow"]

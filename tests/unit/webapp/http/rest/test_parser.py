"""What is JSON to the API; tests/unit/webapp/http/errors has what is not."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from webapp.gallery.models import Gallery


@pytest.mark.parametrize(
    ("body", "content_type", "name"),
    [
        pytest.param(rb'{"name": "\ud83d\ude00"}', "application/json", "😀", id="a whole pair"),
        pytest.param(rb'{"name": "\\u0000 \\ud83d"}', "application/json", r"\u0000 \ud83d", id="escaped escapes"),
        pytest.param('{"name": "René"}'.encode(), "application/json; charset=utf-8", "René", id="a charset"),
        pytest.param(b' {"name": "x"}\n', "", "x", id="no content type"),
    ],
)
def test_json_in_all_its_spellings_is_read(user: User, body: bytes, content_type: str, name: str) -> None:
    client = Client()
    client.force_login(user)
    assert client.post("/api/v1/galleries", body, content_type=content_type).status_code == 201
    assert Gallery.objects.get().name == name

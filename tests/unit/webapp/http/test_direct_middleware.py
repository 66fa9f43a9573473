"""Django's middlewares on the event loop: they do what Django's do, with no thread but where one is needed."""

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.utils.module_loading import import_string

from webapp.gallery.models import Gallery

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the functions that were called in a thread."""
    called: list[str] = []
    original = SyncToAsync.__call__

    async def noted(self: Any, *args: Any, **options: Any) -> Any:
        called.append(getattr(self.func, "__qualname__", ""))
        return await original(self, *args, **options)

    monkeypatch.setattr(SyncToAsync, "__call__", noted)
    return called


async def logged_in(user: User, **options: Any) -> AsyncClient:
    client = AsyncClient(**options)
    await client.aforce_login(user)
    return client


async def test_a_page_needs_a_thread_for_its_view_and_for_nothing_before_or_after(
    user: User, gallery: Gallery, in_threads: list[str]
) -> None:
    client = await logged_in(user)
    in_threads.clear()
    assert (await client.get("/")).status_code == 200
    assert [name for name in in_threads if "Signal" not in name and "close" not in name] == ["gallery_list"]


async def test_a_changed_session_is_saved_in_a_thread(user: User, in_threads: list[str]) -> None:
    client = await logged_in(user)
    in_threads.clear()
    response = await client.post("/logout/")
    assert any("SessionMiddleware.process_response" in name for name in in_threads)
    assert response.cookies["sessionid"].value == ""
    assert (await client.get("/")).status_code == 302


async def test_a_form_without_its_token_is_refused_and_with_it_taken(user: User, in_threads: list[str]) -> None:
    client = await logged_in(user, enforce_csrf_checks=True)
    await client.get("/login/")
    form = {"name": "holidays"}
    assert (await client.post("/", form)).status_code == 403
    token = client.cookies["csrftoken"].value
    in_threads.clear()
    assert (await client.post("/", form | {"csrfmiddlewaretoken": token})).status_code == 302
    assert any("process_view" in name for name in in_threads), "the form is parsed in a thread"


async def test_a_page_has_the_headers_of_every_middleware(user: User) -> None:
    response = await (await logged_in(user)).get("/")
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Length"] == str(len(response.content))
    missing_slash = await AsyncClient().get("/jobs")
    assert (missing_slash.status_code, missing_slash["Location"]) == (301, "/jobs/")


def test_no_middleware_of_djangos_is_left_to_its_threads() -> None:
    for path in settings.MIDDLEWARE:
        middleware = import_string(path)
        assert not middleware.__module__.startswith("django.") or middleware.__name__ == "HtmxMiddleware", path

"""Whatever Django itself answers with 4xx is never a 500, whoever raises it, and wherever."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestAborted,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.handlers.wsgi import WSGIRequest
from django.http import Http404, RawPostDataException, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.test import AsyncClient, Client

from tasks.web.memory import MemorySearchClient
from webapp.accounts import authentication
from webapp.accounts.sessions import SessionStore
from webapp.gallery import selectors
from webapp.gallery.models import Gallery
from webapp.http.direct_middleware import DjangoCsrfViewMiddleware
from webapp.http.errors.kinds import REFUSED, problem_of
from webapp.http.problems import PROBLEM_TYPE
from webapp.search import api as search_api
from webapp.search import views as search_views

#: The status and the code of each class that has its own; a subclass has those of the nearest class above it.
EXPECTED: dict[type[Exception], tuple[int, str]] = {
    BadRequest: (400, "bad_request"),
    SuspiciousOperation: (400, "bad_request"),
    DisallowedHost: (400, "bad_host"),
    RequestDataTooBig: (413, "body_too_large"),
    TooManyFieldsSent: (400, "too_many_fields"),
    TooManyFilesSent: (400, "too_many_files"),
    MultiPartParserError: (400, "bad_body"),
    RequestAborted: (400, "bad_body"),
    UnreadablePostError: (400, "bad_body"),
    RawPostDataException: (415, "unsupported_media_type"),
    PermissionDenied: (403, "forbidden"),
    Http404: (404, "not_found"),
}
#: What a client may have sent: it is neither answered nor logged.
SENT = "<what the client sent>"


def with_subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    """Yield the class and all of its subclasses that any imported module has."""
    yield kind
    for subclass in kind.__subclasses__():
        yield from with_subclasses(subclass)


def unheard_of(kind: type[Exception]) -> type[Exception]:
    return type(f"Another{kind.__name__}", (kind,), {})


KINDS = [*{each: None for base in REFUSED for each in with_subclasses(base)}]
KINDS += [unheard_of(base) for base in EXPECTED]
EveryKind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
EveryBase = pytest.mark.parametrize("kind", list(EXPECTED), ids=lambda kind: kind.__name__)


def expected_of(kind: type[Exception]) -> tuple[int, str]:
    return next(EXPECTED[each] for each in kind.__mro__ if each in EXPECTED)


def raises(error: Exception) -> Any:
    def raising(*_: Any, **__: Any) -> Any:
        raise error

    return raising


def check(response: Any, kind: type[Exception], log: pytest.LogCaptureFixture, *, is_api: bool) -> None:
    status, code = expected_of(kind)
    assert response.status_code == status
    content = response.content.decode()
    if is_api:
        assert response["Content-Type"] == PROBLEM_TYPE
        assert (response.json()["code"], response.json()["status"]) == (code, status)
    else:
        assert "That did not work" in content
        assert 'href="/">Back to the galleries' in content
    assert "client sent" not in content
    assert not log.records, "no line but that of the request"


@pytest.fixture
def client(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is on the log as the settings have it."""
    caplog.set_level(logging.INFO)
    return caplog


def test_each_base_class_has_an_expectation() -> None:
    assert {base for base in REFUSED if not any(each in EXPECTED for each in base.__mro__)} == set()
    assert len(KINDS) > 25, "Django's own subclasses are among them"


@EveryKind
def test_one_in_a_view(
    kind: type[Exception], client: Client, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(selectors, "visible_galleries", raises(kind(SENT)))
    check(client.get("/"), kind, log, is_api=False)
    check(client.get("/api/v1/galleries"), kind, log, is_api=True)


@EveryBase
def test_one_while_somebody_is_authenticated(
    kind: type[Exception], client: Client, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(authentication, "check_csrf", raises(kind(SENT)))
    check(client.get("/api/v1/galleries"), kind, log, is_api=True)


@EveryKind
def test_one_in_a_middleware(
    kind: type[Exception], client: Client, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(DjangoCsrfViewMiddleware, "process_view", raises(kind(SENT)))
    check(client.get("/"), kind, log, is_api=False)
    check(client.post("/", {"name": "x"}), kind, log, is_api=False)
    check(client.get("/api/v1/galleries"), kind, log, is_api=True)


def test_one_after_the_view(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    settings.SESSION_SAVE_EVERY_REQUEST = True
    monkeypatch.setattr(SessionStore, "save", raises(UpdateError()))  # another request has logged the user out
    check(client.get("/"), SessionInterrupted, log, is_api=False)
    check(client.get("/api/v1/galleries"), SessionInterrupted, log, is_api=True)


@pytest.mark.parametrize(
    "kind",
    # Django's check of the CSRF token takes a body that cannot be read for a missing token.
    [kind for kind in KINDS if not issubclass(kind, UnreadablePostError)],
    ids=lambda kind: kind.__name__,
)
def test_one_while_a_form_is_parsed(
    kind: type[Exception], user: User, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    client.force_login(user)
    client.get("/")  # brings the cookie with the token
    monkeypatch.setattr(WSGIRequest, "_load_post_and_files", raises(kind(SENT)))
    check(client.post("/", {"name": "x"}), kind, log, is_api=False)
    check(client.post("/api/v1/galleries", {"name": "x"}), kind, log, is_api=True)


@pytest.mark.django_db(transaction=True)
@EveryBase
async def test_one_on_the_event_loop(
    kind: type[Exception],
    user: User,
    gallery: Gallery,
    face_search: MemorySearchClient,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    client = AsyncClient(raise_request_exception=False)
    await client.aforce_login(user)
    monkeypatch.setattr(search_api, "ticket_from", raises(kind(SENT)))
    monkeypatch.setattr(search_views, "ticket_from", raises(kind(SENT)))
    check(await client.get("/api/v1/searches/x"), kind, log, is_api=True)
    check(await client.get("/searches/x/"), kind, log, is_api=False)


def test_a_fault_of_ours_is_a_500_with_one_traceback_and_no_ticket(
    client: Client, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(selectors, "visible_galleries", raises(RuntimeError("a fault")))
    page, problem = client.get("/"), client.get("/api/v1/galleries")
    assert (page.status_code, problem.status_code, problem.json()["code"]) == (500, 500, "internal")
    assert "Back to the galleries" in page.content.decode()
    assert "a fault" not in page.content.decode() + problem.content.decode()
    assert [str(record.exc_info and record.exc_info[1]) for record in log.records] == ["a fault", "a fault"]
    assert problem_of(RuntimeError()) is None
    log.clear()
    monkeypatch.setattr(search_api, "ticket_from", raises(RuntimeError("a fault")))
    assert client.get("/api/v1/searches/" + "t" * 60).status_code == 500
    assert log.records
    assert "t" * 60 not in log.text
    log.clear()
    assert client.get("/api/v1/searches/a%0Ab").status_code == 500
    assert ["\n" in record.getMessage() for record in log.records] == [False]

"""Bodies that cannot be read: each is refused with its status and code, and leaves no traceback on the log.

They pass the door and Django as they do in a web process, here without its sockets.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory

from tasks.web.memory import MemorySearchClient
from webapp.accounts.passengers import Passengers
from webapp.config import asgi
from webapp.config.routes import ROUTES
from webapp.gallery.models import Gallery
from webapp.http.asgi import AsgiApp
from webapp.http.bodies import Bodies
from webapp.http.door import Door
from webapp.http.problems import PROBLEM_TYPE
from webapp.http.request_ids import RequestIds
from webapp.http.shares import Budget, Proxies, Rates
from webapp.http.spool import Spool

pytestmark = pytest.mark.django_db(transaction=True)

MULTIPART, FORM, JSON = "multipart/form-data; boundary=edge", "application/x-www-form-urlencoded", "application/json"
MIB: Final = 2**20


def part(content: bytes = b"x", name: str = "name", *, filename: str = "", headers: str = "") -> bytes:
    named = f'; filename="{filename}"' if filename else ""
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{headers}\r\n'
    return head.encode() + content + b"\r\n"


def parts(*each: bytes) -> bytes:
    return b"".join(each) + b"--edge--\r\n"


A_FORM = parts(part())


@dataclass(frozen=True)
class Broken:
    """A body, and what comes of it: sent as JSON, as photos or as a query image to the API, and to two pages.

    A number is a status; an empty text means that the body is not sent there.
    """

    content_type: str
    body: bytes
    as_json: str = ""
    as_photos: str = ""
    as_image: str = ""
    as_form: str = ""
    as_photos_page: str = ""


def broken_form(content_type: str, body: bytes, answer: str, as_json: str = "415 unsupported_media_type") -> Broken:
    """Return a form that nobody can read, whoever reads it."""
    return Broken(content_type, body, as_json, answer, answer, answer, answer)


def large_form(body: bytes, answer: str) -> Broken:
    """Return a form that passes the door only where files may come."""
    too_large = "413 body_too_large"
    return Broken(MULTIPART, body, too_large, answer, answer, too_large, answer)


def broken_json(body: bytes, answer: str) -> Broken:
    return Broken(JSON, body, as_json=answer)


TOO_LARGE, BAD, UNTYPED = "413 body_too_large", "400 bad_body", "415 unsupported_media_type"
BODIES = {
    "no boundary": broken_form("multipart/form-data", A_FORM, BAD, BAD),
    "an empty boundary": broken_form("multipart/form-data; boundary=", A_FORM, BAD, BAD),
    "a boundary that is too long": broken_form(f"multipart/form-data; boundary={'e' * 300}", A_FORM, BAD, BAD),
    "a boundary of other characters": broken_form("multipart/form-data; boundary=\x01", A_FORM, BAD, BAD),
    "a boundary that is not ASCII": broken_form("multipart/form-data; boundary=\xe9dge", A_FORM, BAD, BAD),
    "a content type in no encoding": broken_form(
        "multipart/form-data; boundary*=none'en'%ff", A_FORM, "400 bad_request", "400 bad_request"
    ),
    "a part with 2,000 headers": broken_form(
        MULTIPART, parts(part(headers="".join(f"X-{number}: y\r\n" for number in range(2000)))), BAD, BAD
    ),
    "a part with 30,000 headers": large_form(
        parts(part(headers="".join(f"X-{number}: y\r\n" for number in range(30_000)))), BAD
    ),
    "a file that is not base64": broken_form(
        MULTIPART,
        parts(part(b"a===", "files", filename="a.jpg", headers="Content-Transfer-Encoding: base64\r\n")),
        BAD,
        BAD,
    ),
    "1,001 files": large_form(parts(*[part(filename="a.jpg")] * 1001), "400 too_many_files"),
    "1,010 fields": broken_form(
        MULTIPART, parts(*[part(name="n")] * 1010), "400 too_many_fields", "400 too_many_fields"
    ),
    "a field of 4 MB": large_form(parts(part(b"x" * 4 * MIB)), TOO_LARGE),
    "many fields of 3 MB together": large_form(parts(*[part(b"x" * MIB)] * 3), TOO_LARGE),
    "1,001 fields of a short form": Broken(
        FORM,
        b"&".join([b"a=1"] * 1001),
        "400 too_many_fields",
        "400 too_many_fields",
        "400 too_many_fields",
        "400 too_many_fields",
        "400 too_many_fields",
    ),
    "a form in another charset": broken_form(
        f"{FORM}; charset=utf-16", "name=x".encode("utf-16"), "415 bad_charset", "415 bad_charset"
    ),
    "a form where JSON belongs": Broken(FORM, b"name=x", as_json=UNTYPED),
    "a form with files where JSON belongs": Broken(MULTIPART, A_FORM, as_json=UNTYPED),
    "plain text where JSON belongs": Broken("text/plain", b'{"name": "x"}', as_json=UNTYPED),
    "3 MB of JSON": Broken(JSON, b'{"name": "%s"}' % (b"x" * 3 * MIB), TOO_LARGE, as_form=TOO_LARGE),
    "no JSON": broken_json(b"name", BAD),
    "JSON that is cut off": broken_json(b'{"name": "x', BAD),
    "JSON in Latin-1": broken_json('{"name": "é"}'.encode("latin-1"), BAD),
    "JSON in UTF-16": broken_json('{"name": "x"}'.encode("utf-16"), BAD),
    "JSON that is nested too deep": broken_json(b"[" * 60_000, BAD),
    "a number that is none": broken_json(b'{"name": NaN}', BAD),
    "a number of 10,000 digits": broken_json(b'{"name": %s}' % (b"1" * 10_000), BAD),
    "half of a surrogate pair": broken_json(rb'{"name": "\ud83d"}', "400 bad_characters"),
    "half of a pair in the name of a member": broken_json(rb'{"\udc00": ["x"], "name": "x"}', "400 bad_characters"),
    "NUL": broken_json(rb'{"name": "a\u0000b"}', "400 bad_characters"),
    "a list where an object belongs": broken_json(b"[]", "422 invalid_request"),
    "a number where a text belongs": broken_json(b'{"name": 1}', "422 invalid_request"),
    "nothing": broken_json(b"", "422 invalid_request"),
}
EveryBody = pytest.mark.parametrize("broken", BODIES.values(), ids=BODIES.keys())


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AsgiApp]:
    """The application of a web process, with a spool of its own."""
    memory = Budget(256 * MIB)
    spool = Spool(tmp_path / "uploads", memory=memory, disk=Budget(2**30), uploads_per_client=4)
    spool.open()
    yield RequestIds(
        Door(
            asgi.SharedThreadsASGIHandler(),
            routes=ROUTES,
            who=Passengers(),
            rates=Rates(0),
            bodies=Bodies(memory=memory, spool=spool, bytes_per_second=1),
            proxies=Proxies([]),
            admission=asgi.search_client,
        )
    )
    spool.close()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: str


@dataclass
class Sender:
    """Sends requests as a user who is logged in."""

    app: AsgiApp
    cookies: str
    token: str

    async def __call__(
        self, path: str, content_type: str = "", body: bytes = b"", *, method: str = "POST", query: bytes = b""
    ) -> Answer:
        headers = {"host": "localhost", "cookie": self.cookies, "x-csrftoken": self.token}
        headers |= {"content-type": content_type, "content-length": str(len(body))} if method == "POST" else {}
        scope = {"type": "http", "method": method, "path": path, "query_string": query, "client": ("192.0.2.1", 5)}
        scope["headers"] = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        sent = ApplicationCommunicator(self.app, scope)
        await sent.send_input({"type": "http.request", "body": body})
        start = await sent.receive_output(10)
        content = (await sent.receive_output(10))["body"]
        await sent.wait()
        named = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], named, content.decode())


@pytest.fixture
def send(app: AsgiApp, user: User, face_search: MemorySearchClient, caplog: pytest.LogCaptureFixture) -> Sender:
    client = Client()
    client.force_login(user)
    asked = RequestFactory().get("/")
    token = get_token(asked)
    cookies = f"sessionid={client.cookies['sessionid'].value}; csrftoken={asked.META['CSRF_COOKIE']}"
    caplog.set_level(logging.INFO)
    return Sender(app, cookies, token)


def check(answer: Answer, expected: str, log: pytest.LogCaptureFixture, *, is_api: bool) -> None:
    status, code = expected.split()
    assert answer.status == int(status), answer.content
    if is_api:
        assert answer.headers["content-type"] == PROBLEM_TYPE
        problem = json.loads(answer.content)
        assert (problem["status"], problem["code"]) == (answer.status, code)
    else:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "That did not work" in answer.content
        assert 'href="/">Back to the galleries' in answer.content
    assert [record.name for record in log.records] == ["webapp.requests"], "no other line"
    assert f" {expected} in " in log.records[0].getMessage() or code == "invalid_request"
    assert not log.records[0].exc_info
    log.clear()


@EveryBody
async def test_a_program_is_told_what_is_wrong(
    broken: Broken, send: Sender, gallery: Gallery, caplog: pytest.LogCaptureFixture
) -> None:
    places = {
        "/api/v1/galleries": broken.as_json,
        f"/api/v1/galleries/{gallery.id}/photos": broken.as_photos,
        "/api/v1/searches": broken.as_image,
    }
    for path, expected in places.items():
        if expected:
            check(await send(path, broken.content_type, broken.body), expected, caplog, is_api=True)
    assert await Gallery.objects.acount() == 1
    assert not await gallery.photos.aexists()


@pytest.mark.parametrize(
    "broken",
    [broken for broken in BODIES.values() if broken.as_form],
    ids=[name for name, broken in BODIES.items() if broken.as_form],
)
async def test_a_person_gets_a_page_that_leads_back(
    broken: Broken, send: Sender, gallery: Gallery, caplog: pytest.LogCaptureFixture
) -> None:
    for path, expected in {"/": broken.as_form, f"/galleries/{gallery.id}/photos/": broken.as_photos_page}.items():
        if expected:
            check(await send(path, broken.content_type, broken.body), expected, caplog, is_api=False)
    assert await Gallery.objects.acount() == 1


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        pytest.param("GET", "/nothing/", b"", "404 not_found", id="no such address"),
        pytest.param("GET", "/galleries", b"name=%00", "400 bad_characters", id="NUL in the query"),
        pytest.param("GET", "/galleries", b"name=\xff", "400 bad_characters", id="a query that is not ASCII"),
        pytest.param("GET", "/gal\x00leries", b"", "400 bad_characters", id="NUL in the path"),
        pytest.param("TRACE", "/galleries", b"", "405 method_not_allowed", id="a method that the door refuses"),
        pytest.param("POST", "/jobs", b"", "405 method_not_allowed", id="a method that the view refuses"),
    ],
)
async def test_an_address_that_is_wrong_is_refused_the_same_way(
    method: str, path: str, query: bytes, expected: str, send: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await send(f"/api/v1{path}", method=method, query=query)
    check(answer, expected, caplog, is_api=True)
    assert answer.status != 405 or "GET" in answer.headers["allow"]
    page = {"/galleries": "/", "/jobs": "/jobs/"}.get(path, path)
    answer = await send(page, method=method, query=query)
    check(answer, expected, caplog, is_api=False)
    assert answer.status != 405 or "GET" in answer.headers["allow"]


async def test_more_parameters_than_any_request_needs_are_refused(
    send: Sender, gallery: Gallery, caplog: pytest.LogCaptureFixture
) -> None:
    query = b"&".join([b"page=1"] * 1001)
    for path in (f"/api/v1/galleries/{gallery.id}/photos", f"/galleries/{gallery.id}/"):
        answer = await send(path, method="GET", query=query)
        check(answer, "400 too_many_fields", caplog, is_api=path.startswith("/api/"))


async def test_a_form_without_its_token_is_refused_by_a_page_that_leads_back(
    send: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    send.token = ""
    check(await send("/", FORM, b"name=x"), "403 csrf", caplog, is_api=False)
    check(await send("/api/v1/galleries", JSON, b'{"name": "x"}'), "403 csrf", caplog, is_api=True)

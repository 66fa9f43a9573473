"""What the door lets in, what it asks first, and what it answers itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DatabaseUnavailable, QueueUnavailable
from webapp.http import door as door_module
from webapp.http.bodies import Bodies
from webapp.http.door import Door
from webapp.http.problems import RETRY_AFTER_SECONDS, Problem, Unauthenticated
from webapp.http.routes import WITHOUT_BODY, Passenger, Route, Routes
from webapp.http.shares import Budget, Proxies, Rates
from webapp.http.spool import Spool
from worker.errors import Busy, FaceQueueError

API, SEARCH, PHOTOS, LOGIN, FORM = "/api/v1/things", "/search/", "/photos/", "/login/", "/form/"
TABLE = Routes(
    [
        Route(pattern=LOGIN, methods=WITHOUT_BODY | {"POST"}, is_open=True, largest_bytes=lambda: 20),
        Route(pattern=SEARCH, kind="query image", largest_bytes=lambda: 100),
        Route(pattern=PHOTOS, kind="photos", largest_bytes=lambda: 1000),
    ],
    other=Route(largest_bytes=lambda: 50, patience_seconds=0.05),
)
ADA = Passenger(client="user:1")


class Places:
    """A search service of which the door asks only whether there is room."""

    def __init__(self) -> None:
        self.refusal: FaceQueueError | None = None
        self.refusal_after_the_body: FaceQueueError | None = None
        self.taken: list[str] = []

    async def check_room(self, client: str) -> None:
        if self.refusal:
            raise self.refusal

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[None]:
        if self.refusal_after_the_body:
            raise self.refusal_after_the_body
        self.taken.append(client)
        yield
        self.taken.remove(client)


class Somebody:
    """Knows one user, by the cookie `ada`."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_remembered = True
        self.error: Exception | None = None

    def is_known(self, scope: Any) -> bool:
        return self.is_remembered

    async def __call__(self, scope: Any) -> Passenger | None:
        self.asked += 1
        if self.error:
            raise self.error
        if dict(scope["headers"]).get(b"x-api-key"):
            raise Unauthenticated("bad_key", "No such key.")
        return ADA if dict(scope["headers"]).get(b"cookie") == b"ada" else None


class House:
    """A door with an application behind it that notes what it gets."""

    def __init__(
        self, folder: Path, *, per_second: float = 0, memory: int = 1000, uploads: int = 2, rate: int = 1000
    ) -> None:
        self.places, self.who, self.memory = Places(), Somebody(), Budget(memory)
        self.disk = Budget(3000)
        self.folder = folder
        self.spool = Spool(folder, memory=Budget(10**8), disk=self.disk, uploads_per_client=uploads)
        self.spool.open()
        self.scope: Any = None
        self.body = b""
        self.seen: dict[str, Any] = {}
        self.door = Door(
            self._application,
            routes=TABLE,
            who=self.who,
            rates=Rates(per_second),
            bodies=Bodies(memory=self.memory, spool=self.spool, bytes_per_second=rate),
            proxies=Proxies(["10.0.0.0/8"]),
            admission=lambda: self.places,
        )

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.body = scope, receive.body.read()
        self.seen = {"places": list(self.places.taken), "memory": self.memory.held_bytes, "disk": self.disk.held_bytes}
        await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "uploads")
    yield house
    house.spool.close()


class Request:
    """A request whose body comes in the given parts; the client then waits, or leaves when it is told to."""

    def __init__(self, path: str = FORM, *parts: bytes, method: str = "POST", by: bytes = b"ada", **more: Any) -> None:
        declared = str(sum(map(len, parts))).encode()
        length = {
            "declared": (b"content-length", declared),
            "chunked": (b"transfer-encoding", b"chunked"),
            "none": None,
        }
        named = length[more.get("length", "declared")]
        headers = [(b"host", more.get("host", b"localhost:8000")), *([named] if named else [])]
        headers += [(b"cookie", by)] if by else []
        headers += more.get("headers", [])
        self.scope = {"type": "http", "method": method, "path": path, "headers": headers}
        self.scope["client"] = (more.get("address", "192.0.2.1"), 5)
        self.parts = list(parts) or [b""]
        self.leaves, self.stalls = more.get("leaves", False), more.get("stalls", False)
        self.count = len(self.parts)
        self.answer: list[Any] = []

    @property
    def read(self) -> int:
        return self.count - len(self.parts)

    async def receive(self) -> Any:
        if not self.parts or (self.stalls and len(self.parts) == 1):
            if not self.leaves:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}
        part = self.parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self.parts)}

    async def send(self, message: Any) -> None:
        self.answer.append(message)

    async def at(self, house: House) -> int:
        await house.door(self.scope, self.receive, self.send)
        return self.answer[0]["status"] if self.answer else 0

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.answer[0]["headers"])

    @property
    def code(self) -> str:
        return self.scope.get("facequeue.refusal", "")


# -- what is asked first ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        pytest.param(Request(host=b"evil.example"), 400, "bad_host", id="another host"),
        pytest.param(Request(host=b"localhost, evil"), 400, "bad_host", id="two hosts"),
        pytest.param(Request(headers=[(b"host", b"localhost")]), 400, "bad_host", id="two host headers"),
        pytest.param(Request(headers=[(b"upgrade", b"WebSocket")]), 400, "no_websockets", id="a WebSocket"),
        pytest.param(Request(method="TRACE"), 405, "method_not_allowed", id="another method"),
        pytest.param(
            Request(LOGIN, b"x", headers=[(b"content-type", b"application/x-www-form-urlencoded; charset=utf-16")]),
            415,
            "bad_charset",
            id="a form in another charset",
        ),
        pytest.param(
            Request(FORM, b"x", headers=[(b"content-type", b"text/plain; a*=none'en'%ff")]),
            400,
            "bad_request",
            id="a content type in an unknown encoding",
        ),
        pytest.param(Request(LOGIN, method="PUT"), 405, "method_not_allowed", id="not this address's method"),
        pytest.param(Request(API, b"x", by=b""), 401, "not_logged_in", id="a stranger with a body"),
        pytest.param(Request(LOGIN, b"x" * 21, by=b""), 413, "body_too_large", id="more than a login"),
        pytest.param(Request(FORM, b"x" * 51), 413, "body_too_large", id="more than a form"),
        pytest.param(Request(SEARCH, b"x" * 101), 413, "image_too_large", id="more than a picture"),
        pytest.param(Request(PHOTOS, b"x" * 1001), 413, "upload_too_large", id="more than an upload"),
        pytest.param(Request(headers=[(b"content-length", b"x")]), 400, "bad_request", id="a length that is none"),
        pytest.param(Request(method="GET", length="chunked"), 400, "bad_request", id="a GET with a body"),
    ],
)
async def test_what_must_not_come_in_is_refused_before_its_body_is_read(
    house: House, request_: Request, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "DRAINED_BYTES", 0)
    assert await request_.at(house) == status
    assert (request_.code, request_.read, house.scope) == (code, 0, None)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(Request(method="GET", by=b""), id="a page, whose view judges"),
        pytest.param(Request(LOGIN, b"x" * 20, by=b""), id="a login by a stranger"),
        pytest.param(Request(FORM, b"x" * 50), id="a form"),
        pytest.param(Request(FORM, b"x" * 50, length="chunked"), id="a form that does not say how long it is"),
        pytest.param(Request(SEARCH, b"x" * 60, b"x" * 40), id="a picture in two parts"),
        pytest.param(Request(SEARCH, b"x" * 60, b"x" * 40, length="chunked"), id="a picture of unknown length"),
        pytest.param(Request(PHOTOS, b"x" * 600, b"y" * 400), id="photos"),
        pytest.param(Request(PHOTOS, b"x" * 600, b"y" * 400, length="chunked"), id="photos of unknown length"),
    ],
)
async def test_the_application_gets_the_whole_body_and_its_length(house: House, request_: Request) -> None:
    body = b"".join(request_.parts)
    assert await request_.at(house) == 200
    assert house.body == body
    headers = dict(house.scope["headers"])
    assert headers.get(b"content-length", b"0") == str(len(body)).encode()
    assert b"transfer-encoding" not in headers
    assert (house.memory.held_bytes, house.disk.held_bytes) == (0, 0), "all is given back"


async def test_a_body_without_a_length_is_read_up_to_its_limit_only(house: House) -> None:
    request = Request(PHOTOS, *[b"x" * 500] * 100, length="chunked")
    request.leaves = True
    assert await request.at(house) == 413
    assert house.scope is None
    assert dict(request.answer[0]["headers"])[b"connection"] == b"close"


async def test_an_endless_body_is_drained_within_bounds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "DRAINED_BYTES", 1000)
    request = Request(PHOTOS, *[b"x" * 500] * 100, by=b"", length="chunked")
    assert await request.at(house) == 303
    assert request.read == 2
    assert [message.get("more_body") for message in request.answer[1:]] == [True, None], "answered before the drain"


async def test_a_client_that_waits_to_be_asked_for_its_body_gets_the_answer_and_a_closed_connection(
    house: House,
) -> None:
    request = Request(PHOTOS, b"x", by=b"", headers=[(b"expect", b"100-continue")], leaves=True)
    assert await request.at(house) == 303
    assert request.headers[b"connection"] == b"close"


async def test_a_small_body_that_is_refused_costs_nobody_the_connection(house: House) -> None:
    request = Request(API, b"x" * 40, by=b"")
    assert await request.at(house) == 401
    assert b"connection" not in request.headers
    assert request.read == 0, "the server skips it"


async def test_a_fault_of_ours_is_a_500_with_one_traceback(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.who.error = RuntimeError("a fault")
    request = Request(API, b"x")
    assert await request.at(house) == 500
    assert json.loads(request.answer[1]["body"])["code"] == request.code == "internal"
    assert [str(record.exc_info and record.exc_info[1]) for record in caplog.records] == ["a fault"]


async def test_a_page_sends_strangers_to_the_log_in(house: House) -> None:
    request = Request(FORM, b"x", by=b"")
    assert await request.at(house) == 303
    assert request.headers[b"location"] == b"/login/"


async def test_a_body_that_stalls_is_given_up(house: House) -> None:
    request = Request(FORM, b"x", b"y", stalls=True)
    assert await request.at(house) == 408
    assert (request.code, house.memory.held_bytes) == ("body_too_slow", 0)


async def test_a_body_that_came_fast_at_first_earns_no_more_than_the_usual_patience(tmp_path: Path) -> None:
    house = House(tmp_path, rate=1)
    request = Request(FORM, b"x" * 49, b"y", stalls=True)  # what comes in 49 seconds comes at once
    async with asyncio.timeout(10):
        assert await request.at(house) == 408


async def test_a_client_that_leaves_leaves_nothing_behind(house: House) -> None:
    request = Request(PHOTOS, b"x" * 500, b"y", stalls=True, leaves=True)
    assert await request.at(house) == 0
    assert (house.disk.held_bytes, list(house.folder.iterdir())) == (0, [])


# -- who asks, and how often -----------------------------------------------------------------------------------------


async def test_each_user_has_a_rate_of_their_own(tmp_path: Path) -> None:
    house = House(tmp_path, per_second=0.2)  # two at once
    answers = [await Request(FORM, b"x").at(house) for _ in range(3)]
    assert answers == [200, 200, 429]
    refused = Request(FORM, b"x")
    await refused.at(house)
    assert 1 <= int(refused.headers[b"retry-after"]) <= 5
    assert await Request(FORM, method="GET", by=b"").at(house) == 200, "others are served"


async def test_each_address_has_a_rate_unless_it_is_a_proxy(tmp_path: Path) -> None:
    house = House(tmp_path, per_second=0.2)

    async def ask(address: str) -> list[int]:
        return [await Request(LOGIN, b"x", by=b"", address=address).at(house) for _ in range(3)]

    assert await ask("192.0.2.1") == [200, 200, 429]
    assert await ask("192.0.2.2") == [200, 200, 429]
    assert await ask("2001:db8::1") == [200, 200, 429]
    assert await ask("2001:db8::2") == [429, 429, 429], "one network"
    assert await ask("10.1.2.3") == [200, 200, 200]


async def test_invented_cookies_cost_an_address_no_more_queries_than_its_rate(tmp_path: Path) -> None:
    house = House(tmp_path, per_second=0.2)
    house.who.is_remembered = False
    for number in range(10):
        await Request(FORM, b"x", by=f"invented-{number}".encode()).at(house)
    assert house.who.asked == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_shows_a_key_that_is_worth_nothing_comes_no_further(house: House, method: str) -> None:
    request = Request(API, *([b"x"] if method == "POST" else []), method=method, headers=[(b"x-api-key", b"old")])
    assert await request.at(house) == 401
    assert (request.code, request.read, house.scope) == ("bad_key", 0, None)
    assert b'error="invalid_token"' in request.headers[b"www-authenticate"]


@pytest.mark.parametrize("is_remembered", [False, True])
async def test_an_address_that_shows_such_keys_uses_up_its_rate(tmp_path: Path, is_remembered: bool) -> None:
    house = House(tmp_path, per_second=0.2)
    house.who.is_remembered = is_remembered
    asked = [Request(API, b"x", headers=[(b"x-api-key", b"old")]) for _ in range(3)]
    assert [await request.at(house) for request in asked] == [401, 401, 429]
    if not is_remembered:
        assert house.who.asked == 2


async def test_a_stranger_is_told_how_a_program_authenticates(house: House) -> None:
    request = Request(API, b"x", by=b"")
    assert await request.at(house) == 401
    assert request.headers[b"www-authenticate"] == b'Bearer realm="facequeue"'


async def test_every_answer_to_a_program_says_what_is_left_of_its_rate(tmp_path: Path) -> None:
    house = House(tmp_path, per_second=0.3)
    left = []
    for request in (Request(API, b"x"), Request(API, method="GET"), Request(API, b"x" * 51), Request(API, b"x")):
        await request.at(house)
        assert request.headers[b"ratelimit-policy"] == b'"requests";q=3;w=10'
        left.append((request.answer[0]["status"], request.headers[b"ratelimit"].partition(b"r=")[2][:1]))
    assert left == [(200, b"2"), (200, b"1"), (413, b"0"), (429, b"0")]
    uncounted = Request(API, host=b"evil.example")
    await uncounted.at(house)
    assert (b"ratelimit-policy" in uncounted.headers, b"ratelimit" in uncounted.headers) == (True, False)
    page = Request(FORM, b"x", by=b"")
    await page.at(house)
    assert b"ratelimit-policy" not in page.headers


async def test_without_a_database_pages_are_left_to_their_views_and_bodies_wait(house: House) -> None:
    house.who.error = DatabaseUnavailable()
    assert await Request(method="GET").at(house) == 200
    request = Request(FORM, b"x")
    assert (await request.at(house), request.code) == (503, "database_unavailable")


async def test_nobody_is_looked_up_where_everybody_may_come(house: House) -> None:
    await Request(LOGIN, b"x").at(house)
    assert house.who.asked == 0


# -- room ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [Busy("Full."), QueueUnavailable("Down.")])
async def test_a_full_queue_refuses_before_the_body_is_read(house: House, refusal: FaceQueueError) -> None:
    house.places.refusal = refusal
    request = Request(SEARCH, b"x")
    assert await request.at(house) == 503
    assert request.read == 0
    assert RETRY_AFTER_SECONDS[0] <= int(request.headers[b"retry-after"]) <= RETRY_AFTER_SECONDS[1]
    assert str(refusal).encode() in request.answer[1]["body"]


async def test_a_queue_that_fills_while_the_body_comes_refuses_too(house: House) -> None:
    house.places.refusal_after_the_body = Busy("Full.")
    assert await Request(SEARCH, b"x").at(house) == 503
    assert (house.scope, house.memory.held_bytes) == (None, 0)


async def test_a_search_has_its_users_place_while_the_application_works(house: House) -> None:
    assert await Request(SEARCH, b"x").at(house) == 200
    assert (house.seen["places"], house.places.taken) == (["user:1"], [])


@pytest.mark.parametrize(("path", "method"), [(PHOTOS, "POST"), (SEARCH, "GET"), (FORM, "DELETE")])
async def test_everything_but_a_search_goes_past_a_full_queue(house: House, path: str, method: str) -> None:
    house.places.refusal = Busy("Full.")
    assert await Request(path, method=method).at(house) == 200
    assert house.seen["places"] == []


async def test_unfinished_bodies_share_a_budget_of_memory(tmp_path: Path) -> None:
    house = House(tmp_path, memory=300)
    slow = [Request(SEARCH, b"x" * 49, b"x", leaves=True, stalls=False) for _ in range(2)]
    gate = asyncio.Event()
    for request in slow:
        first = request.receive

        async def late(first: Any = first) -> Any:
            await gate.wait()
            return await first()

        request.receive = late  # type: ignore[method-assign]
    arriving = [asyncio.create_task(request.at(house)) for request in slow]
    while house.memory.held_bytes < 100:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    refused = Request(SEARCH, b"x" * 50)
    assert (await refused.at(house), refused.code, refused.read) == (503, "too_much_arriving", 0)
    assert b"retry-after" in refused.headers
    gate.set()
    assert 200 in await asyncio.gather(*arriving)
    assert house.memory.held_bytes == 0


async def test_a_user_sends_only_so_many_uploads_at_a_time(tmp_path: Path) -> None:
    house = House(tmp_path, uploads=1)
    first = Request(PHOTOS, b"x" * 5, b"y", stalls=True)
    arriving = asyncio.create_task(first.at(house))
    while not house.disk.held_bytes:
        await asyncio.sleep(0.001)
    second = Request(PHOTOS, b"x" * 5)
    assert (await second.at(house), second.code) == (429, "too_many_uploads")
    arriving.cancel()
    await asyncio.gather(arriving, return_exceptions=True)
    assert await Request(PHOTOS, b"x" * 5).at(house) == 200


async def test_an_upload_larger_than_what_is_free_on_the_disk_is_refused_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.http.spool.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    request = Request(PHOTOS, b"x" * 11)
    assert (await request.at(house), request.code, request.read) == (507, "storage_full", 0)


# -- what is not HTTP ------------------------------------------------------------------------------------------------


async def test_what_is_not_http_is_closed_with_one_line(house: House, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await house.door({"type": "websocket"}, receive, send)
    await house.door({"type": "carrier-pigeon"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert [record.getMessage() for record in caplog.records] == [
        "A connection of the kind 'websocket' was closed.",
        "A connection of the kind 'carrier-pigeon' was closed.",
    ]


async def test_a_program_is_answered_in_json(house: House) -> None:
    request = Request(API, b"x" * 51)
    await request.at(house)
    assert json.loads(request.answer[1]["body"])["code"] == "body_too_large"


def test_those_who_are_refused_together_do_not_come_back_together() -> None:
    told = {Problem("busy", "Full.").retry_after_seconds for _ in range(200)}
    assert len(told) > 5
    assert Problem("bad_image", "No.").retry_after_seconds is None

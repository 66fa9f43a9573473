"""What the door for query images lets in, and what it answers itself."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tasks.errors import QueueUnavailable
from webapp.http.door import Door
from webapp.http.problems import RETRY_AFTER_SECONDS, Problem
from worker.errors import Busy, FaceQueueError

API, PAGE, PHOTOS = "/api/v1/galleries/1/searches", "/galleries/1/search/", "/galleries/1/photos/"
ALICE = "user:1"
API_OF_ALL = "/api/v1/searches"


class Places:
    """A search service of which the door asks only whether there is room."""

    def __init__(self) -> None:
        self.refusal: FaceQueueError | None = None
        self.refusal_after_the_body: FaceQueueError | None = None
        self.taken = 0

    async def check_room(self, client: str) -> None:
        assert client == ALICE
        if self.refusal:
            raise self.refusal

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[None]:
        assert client == ALICE
        if self.refusal_after_the_body:
            raise self.refusal_after_the_body
        self.taken += 1
        yield
        self.taken -= 1


async def who(scope: Any) -> str:
    return ALICE


@pytest.fixture
def places() -> Places:
    return Places()


class Request:
    """A body of so many bytes in two parts, sent to an application behind the door that reads all of it."""

    def __init__(self, path: str, size: int = 10, method: str = "POST") -> None:
        self.scope = {"type": "http", "method": method, "path": path}
        self.parts = [{"type": "http.request", "body": b"x" * (size - 1), "more_body": True}]
        self.parts.append({"type": "http.request", "body": b"x", "more_body": False})
        self.seen = bytearray()
        self.sent: list[Any] = []

    async def send_to(self, places: Places) -> int:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.places_taken = places.taken
            while True:
                message = await receive()
                self.seen.extend(message["body"])
                if not message["more_body"]:
                    break
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def receive() -> Any:
            return self.parts.pop(0)

        async def send(message: Any) -> None:
            self.sent.append(message)

        await Door(app, admission=lambda: places, who=who)(self.scope, receive, send)
        status: int = self.sent[0]["status"]
        return status


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        pytest.param(API, 101, 413, id="too large for the API"),
        pytest.param(API_OF_ALL, 101, 413, id="too large for the API of several galleries"),
        pytest.param(PAGE, 101, 413, id="too large for the page"),
        pytest.param(PAGE, 100, 200, id="just fits"),
        pytest.param(PHOTOS, 101, 200, id="photos may be spooled"),
    ],
)
async def test_a_body_that_would_be_spooled_to_disk_is_refused_first(
    settings: Any, places: Places, path: str, size: int, status: int
) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100
    request = Request(path, size)
    assert await request.send_to(places) == status
    assert len(request.seen) == (size if status == 200 else 0)
    if path == API:
        assert json.loads(request.sent[1]["body"])["code"] == "image_too_large"


@pytest.mark.parametrize("refusal", [Busy("Full."), QueueUnavailable("Down.")])
async def test_a_full_queue_refuses_before_the_body_is_read(places: Places, refusal: FaceQueueError) -> None:
    places.refusal = refusal
    request = Request(API)
    assert await request.send_to(places) == 503
    assert len(request.parts) == 2, "nothing was read"
    headers = dict(request.sent[0]["headers"])
    assert RETRY_AFTER_SECONDS[0] <= int(headers[b"retry-after"]) <= RETRY_AFTER_SECONDS[1]
    assert json.loads(request.sent[1]["body"]) == {"code": refusal.code, "message": str(refusal)}


async def test_a_queue_that_fills_while_the_body_comes_refuses_too(places: Places) -> None:
    places.refusal_after_the_body = Busy("Full.")
    request = Request(PAGE)
    assert await request.send_to(places) == 503
    assert not request.seen
    assert request.sent[1]["body"] == b"Full."


async def test_a_search_has_its_place_while_the_application_works(places: Places) -> None:
    request = Request(API)
    assert await request.send_to(places) == 200
    assert (request.places_taken, places.taken) == (1, 0)


@pytest.mark.parametrize(("path", "method"), [(PHOTOS, "POST"), (PAGE, "GET"), ("/api/v1/searches/x", "DELETE")])
async def test_everything_else_goes_past_a_full_queue(places: Places, path: str, method: str) -> None:
    places.refusal = Busy("Full.")
    request = Request(path, method=method)
    assert await request.send_to(places) == 200
    assert request.places_taken == 0


def test_those_who_are_refused_together_do_not_come_back_together() -> None:
    told = {Problem("busy", "Full.").retry_after_seconds for _ in range(200)}
    assert len(told) > 5
    assert Problem("bad_image", "No.").retry_after_seconds is None

"""Bodies that are too large, too slow or never complete: what they cost, and that others are served meanwhile."""

import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.attacks.conftest import BODY_MEMORY_MB, UPLOAD_MAX_MB
from tests.attacks.hostile import PART, Client, Spent
from tests.service import RunningService
from tests.waiting import eventually
from tests.web_client import WebClient

pytestmark = pytest.mark.services

MB = 10**6
HUGE = 600 * MB
#: What a refused body may cost: log lines, and what is buffered for one connection.
NEXT_TO_NOTHING = 100_000
ONE_CONNECTION = 8 * MB
#: What the sockets' own buffers take before the server is asked, and what it drains.
TAKEN_AT_MOST = 30 * MB
MULTIPART = "Content-Type: multipart/form-data; boundary=b"
IMAGE = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
GALLERY = "00000000-0000-0000-0000-000000000000"
SEARCH, PHOTOS = f"/api/v1/galleries/{GALLERY}/searches", f"/api/v1/galleries/{GALLERY}/photos"

Framing = pytest.mark.parametrize("is_chunked", [False, True], ids=["Content-Length", "chunked"])


def framing(is_chunked: bool, byte_count: int = HUGE) -> str:
    return "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {byte_count}"


def is_served(service: RunningService) -> bool:
    return httpx.get(f"{service.url}/login/", timeout=10).status_code == 200


@Framing
@pytest.mark.parametrize(
    ("path", "is_user", "answered"),
    [
        pytest.param("/login/", False, 413, id="a stranger's log-in"),
        pytest.param("/", False, 303, id="a stranger's form"),
        pytest.param(PHOTOS, False, 401, id="a stranger's photos"),
        pytest.param(SEARCH, False, 401, id="a stranger's search"),
        pytest.param("/", True, 413, id="a user's form"),
        pytest.param(SEARCH, True, 413, id="a user's search"),
    ],
)
def test_600_megabytes_reach_no_disk_and_little_memory(
    attacked: RunningService,
    as_user: tuple[str, str],
    path: str,
    is_user: bool,
    answered: int,
    is_chunked: bool,
) -> None:
    spent = Spent(attacked)
    with Client(attacked) as client:
        client.head("POST", path, framing(is_chunked), MULTIPART, *(as_user if is_user else ()))
        sent = client.flood(HUGE, is_chunked=is_chunked)
        status, _ = client.answer()
    assert sent < (TAKEN_AT_MOST if path != SEARCH else 2 * TAKEN_AT_MOST)
    assert status == answered
    assert spent.written_bytes < NEXT_TO_NOTHING
    counted = 2 * 20 * 2**20 if is_user and path == SEARCH and is_chunked else 0  # up to a picture's size
    assert spent.memory_bytes < counted + ONE_CONNECTION
    assert is_served(attacked)


@pytest.mark.parametrize("path", ["/login/", PHOTOS])
@Framing
def test_a_client_that_listens_gets_to_read_why(attacked: RunningService, path: str, is_chunked: bool) -> None:
    with Client(attacked) as client:
        client.head("POST", path, framing(is_chunked))
        client.chunk(PART) if is_chunked else client.send(PART)
        status, answer = client.answer()
    assert status == (413 if path == "/login/" else 401)
    assert "connection: close" in answer.lower()


def test_photos_of_unknown_length_are_spooled_up_to_their_limit_and_thrown_away(
    attacked: RunningService, as_user: tuple[str, str]
) -> None:
    spent = Spent(attacked)
    with Client(attacked) as client:
        client.head("POST", PHOTOS, framing(True), MULTIPART, *as_user)
        sent = client.flood(HUGE, is_chunked=True)
    assert sent < UPLOAD_MAX_MB * 2**20 + TAKEN_AT_MOST
    assert spent.written_bytes < UPLOAD_MAX_MB * 2**20 + NEXT_TO_NOTHING
    assert spent.memory_bytes < ONE_CONNECTION
    eventually(lambda: not list((attacked.folder / "uploads").iterdir()), "nothing is left of it")


def test_trickled_bodies_are_given_up(attacked: RunningService, as_user: tuple[str, str]) -> None:
    """A byte ten times a second, of all kinds at the same time; each would take hours."""
    spent = Spent(attacked)
    answers: dict[str, int] = {}

    def trickle(name: str, path: str, is_chunked: bool, *headers: str) -> None:
        with Client(attacked) as client:
            client.head("POST", path, framing(is_chunked, 10_000), *headers)
            client.trickle(b"x" * 10_000, is_chunked=is_chunked)
            answers[name] = client.answer()[0]

    calls: dict[str, tuple[Any, ...]] = {
        "log-in": ("/login/", False),
        "chunked log-in": ("/login/", True),
        "form": ("/", False, *as_user),
        "search": (SEARCH, False, MULTIPART, *as_user),
        "chunked search": (SEARCH, True, MULTIPART, *as_user),
        "photos": (PHOTOS, False, MULTIPART, *as_user),
    }
    threads = [threading.Thread(target=trickle, args=(name, *call)) for name, call in calls.items()]
    for thread in threads:
        thread.start()
    assert is_served(attacked)
    for thread in threads:
        thread.join()
    assert answers == dict.fromkeys(calls, 408)
    assert spent.memory_bytes < ONE_CONNECTION


@pytest.mark.parametrize(
    ("path", "is_user", "byte_count", "most_memory"),
    [
        pytest.param("/login/", False, 16_000, 120 * 200_000, id="strangers' log-ins"),
        pytest.param(PHOTOS, False, 10 * MB, 120 * 200_000, id="strangers' photos"),
        pytest.param(PHOTOS, True, 10 * MB, 120 * 200_000, id="a user's photos"),
        pytest.param(SEARCH, True, 19 * MB, BODY_MEMORY_MB * 2**20 + 120 * 200_000, id="a user's searches"),
    ],
)
@Framing
def test_120_unfinished_uploads_stay_within_the_stated_bound(
    attacked: RunningService,
    as_user: tuple[str, str],
    path: str,
    is_user: bool,
    byte_count: int,
    most_memory: int,
    is_chunked: bool,
) -> None:
    spent = Spent(attacked)
    clients = [Client(attacked) for _ in range(120)]
    try:
        for client in clients:
            client.head("POST", path, framing(is_chunked, byte_count), MULTIPART, *(as_user if is_user else ()))
        for client in clients:
            client.flood(byte_count - 1000, is_chunked=is_chunked)
        assert is_served(attacked)
        assert spent.memory_bytes < most_memory
    finally:
        for client in clients:
            client.socket.close()


@Framing
def test_an_honest_upload_works_however_it_is_framed(
    attacked: RunningService, user: WebClient, as_user: tuple[str, str], is_chunked: bool
) -> None:
    gallery = user.create_gallery(f"framed {is_chunked}")
    photo = bytes(range(256)) * 8192 + bytes([is_chunked])
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n' + photo + b"\r\n--b--\r\n"
    spent = Spent(attacked)
    with Client(attacked) as client:
        path = f"/api/v1/galleries/{gallery}/photos"
        client.head("POST", path, framing(is_chunked, len(body)), MULTIPART, "Expect: 100-continue", *as_user)
        assert client.answer()[0] == 100
        client.received = b""
        send: Callable[[bytes], bool] = client.chunk if is_chunked else client.send
        assert all(send(body[start : start + 50_000]) for start in range(0, len(body), 50_000))
        if is_chunked:
            client.send(b"0\r\n\r\n")
        status, answer = client.answer()
    assert status == 202, answer
    photo_id = json.loads(answer.partition("\r\n\r\n")[2])["files"][0]["photo_id"]
    assert (attacked.folder / "photos" / photo_id[:2] / photo_id / "original").read_bytes() == photo
    assert spent.written_bytes < 2 * len(photo) + MB, "once as a body, once as a photo, and renamed into the storage"

"""Connections that never become requests, and requests that are nothing but headers."""

import json
import os
import sqlite3
from contextlib import closing

import httpx
import pytest

from tests.attacks.conftest import PER_CLIENT
from tests.attacks.hostile import Client, Spent
from tests.service import RunningService
from tests.waiting import eventually
from tests.web_client import WebClient

pytestmark = pytest.mark.services

#: Loopback addresses that are no proxies, one per test: they stand for hosts elsewhere.
FAR, FARTHER = "127.0.0.2", "127.0.0.3"


def is_served(service: RunningService) -> bool:
    return httpx.get(f"{service.url}/login/", timeout=10).status_code == 200


def test_400_half_sent_headers_are_closed_and_hold_up_nobody(attacked: RunningService) -> None:
    spent = Spent(attacked)
    clients = [Client(attacked) for _ in range(400)]
    try:
        for client in clients:
            client.send(b"GET /login/ HTTP/1.1\r\nHost: localhost\r\nX-Half: ")
        assert is_served(attacked)
        assert spent.memory_bytes < 400 * 50_000
        assert all(client.answer()[0] == 408 for client in clients)
    finally:
        for client in clients:
            client.socket.close()


def test_one_address_has_only_so_many_connections(attacked: RunningService) -> None:
    clients = [Client(attacked, FAR) for _ in range(PER_CLIENT)]
    try:
        for _ in range(3):
            with Client(attacked, FAR) as one_more:
                status, answer = one_more.answer()
                assert (status, "too_many_connections" in answer) == (503, True)
        with Client(attacked, FARTHER) as another:
            another.head("GET", "/health/live")
            assert another.answer()[0] == 200
    finally:
        for client in clients:
            client.socket.close()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Many: x\r\n" * 50_000, id="many headers"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 10**6, id="a long header"),
        pytest.param(b"GET /" + b"x" * 10**6, id="a long address"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n", id="complete"),
    ],
)
def test_headers_that_are_too_long_are_refused(attacked: RunningService, head: bytes) -> None:
    spent = Spent(attacked)
    with Client(attacked) as client:
        client.send(head)
        assert client.answer()[0] in (431, 0)
    assert spent.memory_bytes < 2 * 10**6


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request", id="TLS"),
        pytest.param(b"GET /api/v1/\xe9 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request", id="a raw address"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n", 400, "bad_request", id="NUL"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400, "bad_request", id="no length"
        ),
    ],
)
def test_what_is_no_request_is_answered_with_a_problem(
    attacked: RunningService, head: bytes, status: int, code: str
) -> None:
    before = attacked.log("web")
    with Client(attacked) as client:
        client.send(head)
        answered, text = client.answer()
        assert client.ends()
    headers, _, content = text.partition("\r\n\r\n")
    assert answered == status
    assert "content-type: application/problem+json" in headers.lower()
    assert (json.loads(content)["code"], json.loads(content)["status"]) == (code, status)
    assert "Traceback" not in attacked.log("web").removeprefix(before)


def test_endless_trailers_and_chunk_extensions_are_cut_off(attacked: RunningService) -> None:
    spent = Spent(attacked)
    for endless in (b"0\r\n" + b"X-Trailer: x\r\n" * 10**5, b"1;" + b"x" * 10**6):
        with Client(attacked) as client:
            client.head("POST", "/login/", "Transfer-Encoding: chunked")
            client.send(endless)
            assert client.ends()
    assert spent.memory_bytes < 4 * 10**6


def test_a_trailer_is_no_header(attacked: RunningService) -> None:
    """uvicorn would add it to the headers, which the door has checked already."""
    with Client(attacked) as client:
        client.head("POST", "/login/", "Transfer-Encoding: chunked")
        client.send(b"1\r\nx\r\n0\r\nHost: evil.example\r\n\r\n")
        assert client.answer()[0] == 403, "Django's CSRF check has read the form"


def test_requests_far_ahead_of_their_answers_are_cut_off(attacked: RunningService) -> None:
    spent = Spent(attacked)
    with Client(attacked) as client:
        client.send(b"GET /login/ HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20_000)
        assert client.ends()
    assert spent.memory_bytes < 4 * 10**6


def test_a_connection_that_was_used_once_cannot_be_held_by_dribbling(attacked: RunningService) -> None:
    with Client(attacked) as client:
        client.head("GET", "/health/live")
        assert client.answer()[0] == 200
        client.received = b""
        client.trickle(b"GET /health/live HTTP/1.1\r\nX-Slow: " + b"x" * 300, is_chunked=False)
        assert client.ends()


def test_websockets_are_refused_with_one_line(attacked: RunningService) -> None:
    before = attacked.log("web")
    with Client(attacked) as client:
        client.head(
            "GET", "/", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"
        )
        assert client.answer()[0] == 400
        assert client.ends()
    assert attacked.log("web").removeprefix(before).count("\n") == 1
    assert "no_websockets" in attacked.log("web").removeprefix(before)


def test_another_host_is_refused_with_one_line(attacked: RunningService) -> None:
    before = attacked.log("web")
    assert httpx.get(attacked.url, headers={"Host": "evil.example"}).status_code == 400
    assert attacked.log("web").removeprefix(before).count("\n") == 1


def test_an_offer_to_speak_http_2_is_ignored(attacked: RunningService) -> None:
    with Client(attacked) as client:
        client.head("GET", "/health/live", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x")
        assert client.answer()[0] == 200


def test_clients_that_do_not_take_their_photos_hold_little_memory_and_are_given_up(
    attacked: RunningService, user: WebClient, as_user: tuple[str, str]
) -> None:
    gallery = user.create_gallery("large")
    photo = os.urandom(15 * 10**6)
    (added,) = user.upload(gallery, {"large.jpg": photo})
    with closing(sqlite3.connect(attacked.folder / "db.sqlite3", timeout=20)) as database, database:
        database.execute("UPDATE gallery_photo SET state = 'indexed', image_format = 'JPEG'")  # as a worker would
    path = f"/photos/{added['photo_id']}/original/"
    assert user.http.get(path).content == photo, "a client that takes it gets all of it"
    spent = Spent(attacked)
    clients = [Client(attacked) for _ in range(40)]
    try:
        for client in clients:
            client.head("GET", path, *as_user)
        assert is_served(attacked)
        eventually(lambda: "stopped taking its answer" in attacked.log("web"), "they are given up")
        assert spent.memory_bytes < 40 * 10**6
    finally:
        for client in clients:
            client.socket.close()

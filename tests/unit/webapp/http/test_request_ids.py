"""Every answer has the id of its request, and every request its line."""

import logging
from typing import Any

import pytest
from structlog.contextvars import get_contextvars

from webapp.http.request_ids import RequestIds


async def ask(path: str, headers: list[tuple[bytes, bytes]] | None = None) -> tuple[str, dict[str, Any]]:
    """Return the id in the answer, and what was bound while the application ran."""
    bound: dict[str, Any] = {}
    sent: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        bound.update(get_contextvars())
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": headers or [], "query_string": b"token=hidden"}
    await RequestIds(application)(scope, None, send)
    return dict(sent[0]["headers"])[b"x-request-id"].decode(), bound


async def test_an_id_from_outside_is_used_and_sent_back() -> None:
    id_, bound = await ask("/", [(b"x-request-id", b"client-12345")])
    assert id_ == bound["request_id"] == "client-12345"
    assert "request_id" not in get_contextvars()


async def test_an_id_that_is_none_is_replaced() -> None:
    id_, bound = await ask("/", [(b"x-request-id", b'"}\nforged')])
    assert id_ == bound["request_id"]
    assert id_.isalnum()


async def test_a_line_names_the_address_and_nothing_secret(caplog: pytest.LogCaptureFixture) -> None:
    token = "t" * 60
    with caplog.at_level(logging.DEBUG, logger="webapp.requests"):
        await ask(f"/api/v1/searches/{token}")
        await ask("/a\nb")
        await ask("/health/live")
    first, forged, quiet = caplog.records
    assert first.getMessage().startswith("GET /api/v1/searches/... 202 in ")
    assert "hidden" not in caplog.text
    assert "\n" not in forged.getMessage()
    assert (first.levelname, quiet.levelname) == ("INFO", "DEBUG")

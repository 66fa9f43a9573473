"""Every request has an id: on each of its log lines, in each message it sends, and in its response."""

import logging
import time
from typing import Final
from urllib.parse import quote

from structlog.contextvars import bound_contextvars

from tasks import tracing
from tasks.context import REQUEST_ID, request_id
from webapp.http.asgi import REFUSAL, AsgiApp, Message, Receive, Send

logger = logging.getLogger("webapp.requests")

HEADER: Final = b"x-request-id"
#: Polled by machines; at INFO, these lines would bury the others.
QUIET: Final = ("/health/", "/metrics", "/static/")
#: A longer segment of a path is a secret, such as a ticket.
LONGEST_SHOWN: Final = 36


class RequestIds:
    """Around an ASGI application: takes the id from X-Request-ID if it is valid, and logs each response."""

    def __init__(self, application: AsgiApp) -> None:
        """Raises ConfigError when ENABLE_TRACING is on without OpenTelemetry."""
        tracing.is_enabled()
        self._application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        id_ = request_id(headers.get(HEADER.decode()))
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, id_.encode())]
                _log(scope, message["status"], time.perf_counter() - started)
            await send(message)

        span = tracing.span(scope["method"], "SERVER", headers, **{"url.path": shown_path(scope["path"])})
        with bound_contextvars(**{REQUEST_ID: id_}), span:
            await self._application(scope, receive, send_with_id)


def _log(scope: Message, status: int, seconds: float) -> None:
    level = logging.DEBUG if scope["path"].startswith(QUIET) else logging.INFO
    answer = f"{status} {scope[REFUSAL]}" if REFUSAL in scope else str(status)
    logger.log(level, "%s %s %s in %.0f ms", scope["method"], shown_path(scope["path"]), answer, seconds * 1000)


def shown_path(path: str) -> str:
    """Return the path without its query string, and without what only some may know: tickets and invitations."""
    return quote("/".join(part if len(part) <= LONGEST_SHOWN else "..." for part in path.split("/")))

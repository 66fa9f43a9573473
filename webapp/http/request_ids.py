"""Every request has an id: on each of its log lines, in each message it sends, and in its answer."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

from structlog.contextvars import bound_contextvars

from tasks import tracing
from tasks.context import REQUEST_ID, request_id

logger = logging.getLogger("webapp.requests")

HEADER: Final = b"x-request-id"
#: Asked all the time by machines; a line for each would hide the others.
QUIET: Final = ("/health/", "/metrics", "/static/")
#: A longer part of an address is a signed token, which is for its owner only.
LONGEST_SHOWN: Final = 36

App = Callable[[Any, Any, Any], Awaitable[None]]


class RequestIds:
    """Around an ASGI application: takes the id from X-Request-ID when it is a sane one, and logs each answer."""

    def __init__(self, application: App) -> None:
        """Raises ConfigError when ENABLE_TRACING is on without OpenTelemetry."""
        tracing.is_enabled()
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        id_ = request_id(headers.get(HEADER.decode()))
        started = time.perf_counter()

        async def send_with_id(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, id_.encode())]
                _log(scope, message["status"], time.perf_counter() - started)
            await send(message)

        span = tracing.span(scope["method"], "SERVER", headers, **{"url.path": _shown(scope["path"])})
        with bound_contextvars(**{REQUEST_ID: id_}), span:
            await self._application(scope, receive, send_with_id)


def _log(scope: Any, status: int, seconds: float) -> None:
    level = logging.DEBUG if scope["path"].startswith(QUIET) else logging.INFO
    logger.log(level, "%s %s %d in %.0f ms", scope["method"], _shown(scope["path"]), status, seconds * 1000)


def _shown(path: str) -> str:
    """Return the address without its query and without what only its owner may know."""
    return quote("/".join(part if len(part) <= LONGEST_SHOWN else "..." for part in path.split("/")))

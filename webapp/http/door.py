"""The door for query images: refuses a search that has no chance before Django does any work for it.

With many more users than the workers can serve, most requests are refused. A refusal by a view costs a parsed body, a
session, a user and a gallery; a refusal here costs almost nothing and keeps no image.
"""

import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from django.conf import settings

from webapp.http.problems import Problem, query_image_too_large
from worker.errors import FaceQueueError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

#: The paths that take a query image.
QUERY_PATHS: Final = re.compile(r"/galleries/[^/]+/search/$|/api/v1/(galleries/[^/]+/)?searches$")


class Admission(Protocol):
    """Decides whether one more search may come in."""

    async def check_room(self, client: str) -> None:
        """Raise Busy when the client may not have one more search in flight, and QueueUnavailable."""
        ...

    def place(self, client: str) -> AbstractAsyncContextManager[object]:
        """Hold a place for a search of the client's for the block. Raises what `check_room` raises."""
        ...


class Door:
    """Around an ASGI application: answers 503 while the search queue is full, and 413 to a body too large for memory.

    Checks the queue twice: before the body, so that nobody uploads an image in vain, and after it, when the search
    takes its place. A client that sends slowly does not hold a place meanwhile.
    """

    def __init__(
        self, app: AsgiApp, *, admission: Callable[[], Admission], who: Callable[[Message], Awaitable[str]]
    ) -> None:
        """`admission` is called for each request; `who` returns the client of its scope."""
        self._app = app
        self._who = who
        self._admission = admission

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not QUERY_PATHS.search(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            admission = self._admission()
            client = await self._who(scope)
            await admission.check_room(client)
            body = await _whole_body(receive)
            async with admission.place(client):
                await self._app(scope, _replay(body, receive), send)
        except FaceQueueError as error:
            await _send_problem(Problem.from_error(error), scope, send)
        except Problem as problem:
            await _send_problem(problem, scope, send)


async def _whole_body(receive: Receive) -> deque[Message]:
    """Return the messages of the body. Raises Problem if it is too large, after reading all of it and keeping none."""
    kept: deque[Message] = deque()
    size = 0
    while True:
        message = await receive()
        kept.append(message)
        size += len(message.get("body", b""))
        if size > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
            kept.clear()
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    if size > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
        raise query_image_too_large()
    return kept


def _replay(kept: deque[Message], receive: Receive) -> Receive:
    """Return a `receive` that gives the messages already read, then those that follow."""

    async def replay() -> Message:
        return kept.popleft() if kept else await receive()

    return replay


async def _send_problem(problem: Problem, scope: Message, send: Send) -> None:
    if scope["path"].startswith("/api/"):
        content_type, body = b"application/json", json.dumps(problem.as_json()).encode()
    else:
        content_type, body = b"text/plain; charset=utf-8", problem.message.encode()
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    if problem.retry_after_seconds is not None:
        headers.append((b"retry-after", str(problem.retry_after_seconds).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

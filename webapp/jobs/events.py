"""A job's progress as server-sent events (HTML Living Standard, section 9.2).

A stream sends the job as it is, then again whenever it has changed, at most once a second, and ends when it is over.
"""

import json
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Self

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

from webapp.http.problems import Problem, not_found
from webapp.jobs.schemas import JobOut
from webapp.jobs.watching import is_over, job_watch

CONTENT_TYPE: Final = "text/event-stream"
#: A silent stream sends a comment this often, so that nobody in between takes it for dead.
KEEP_ALIVE_SECONDS: Final = 15.0
#: How soon a browser connects again when a stream breaks off.
RETRY_SECONDS: Final = 3
#: Streams at the same time: of one client, and of a process.
MOST_PER_CLIENT: Final = 8
MOST: Final = 256


class Streams:
    """The streams of this process, within bounds. Safe to share between threads."""

    def __init__(self, *, most: int = MOST, most_per_client: int = MOST_PER_CLIENT) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._lock = threading.Lock()
        self._by_client: Counter[str] = Counter()

    def enter(self, client: str) -> None:
        """Raise Problem (`too_many_streams`) when the client or the process has too many."""
        with self._lock:
            if self._by_client[client] >= self._most_per_client or self._by_client.total() >= self._most:
                raise Problem(
                    "too_many_streams",
                    "Too many event streams are open. Please close some, or try again in a moment.",
                    status=429,
                    retry_after_seconds=Problem.some_seconds(),
                )
            self._by_client[client] += 1

    def leave(self, client: str) -> None:
        with self._lock:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]


streams: Final = Streams()


class JobEvents:
    """The parts of one stream. It holds its place until `close`, or until it is garbage: a client may go before the
    first part is asked for.
    """

    def __init__(self, job: JobOut, *, client: str, check: Callable[[], None]) -> None:
        """`check` raises Problem once the client may no longer see the job; it is called in a thread, before each part.

        Raises Problem (`too_many_streams`).
        """
        self._is_open = False
        streams.enter(client)
        self._is_open = True
        self._client = client
        self._parts = _parts(job, check)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._parts)

    def close(self) -> None:
        """Called by Django when the response is over, complete or not. Safe to call twice."""
        if self._is_open:
            self._is_open = False
            streams.leave(self._client)

    __del__ = close


def events_answer(events: JobEvents) -> StreamingHttpResponse:
    response = StreamingHttpResponse(events, content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx would collect the events before it passes them on
    return response


async def _parts(job: JobOut, check: Callable[[], None]) -> AsyncGenerator[bytes]:
    yield f"retry: {RETRY_SECONDS * 1000}\n\n".encode() + _job_event(job)
    while not is_over(job):
        try:
            changed = await job_watch().change(job, timeout_seconds=KEEP_ALIVE_SECONDS)
            is_silent = False
        except TimeoutError:
            changed, is_silent = job, True
        try:
            await sync_to_async(check)()
            if changed is None:
                raise not_found("job")
        except Problem as problem:
            yield _event("problem", problem.as_json())
            return
        job = changed
        yield b": still there\n\n" if is_silent else _job_event(job)


def _job_event(job: JobOut) -> bytes:
    """Its id is the job's state: a client that comes back with that of the end has seen everything."""
    return _event("over" if is_over(job) else "progress", job.model_dump(mode="json"), event_id=job.state)


def _event(kind: str, data: dict[str, Any], *, event_id: str = "") -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n".encode()

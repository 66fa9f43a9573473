"""Taking in the body of a request: counted, in time, into memory that is accounted for or into a file on the disk."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from io import BytesIO
from typing import IO, Final

from webapp.http.asgi import Message, Receive
from webapp.http.problems import Problem, query_image_too_large
from webapp.http.routes import Route
from webapp.http.shares import Budget, Hold
from webapp.http.spool import Spool

#: A body in memory is charged twice: while it is parsed, its fields and its image exist beside it.
COPIES: Final = 2
#: A Content-Length with more digits is nonsense.
MOST_DIGITS: Final = 15


class ClientGone(Exception):
    """The client closed the connection before its body was complete."""


def declared_bytes(headers: Mapping[bytes, bytes]) -> int | None:
    """Return the length of the body that the headers promise; None for one whose length only its end tells.

    Raises Problem for a length that is no number.
    """
    if b"transfer-encoding" in headers:
        return None
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > MOST_DIGITS:
        raise Problem("bad_request", "The Content-Length is not a number.", status=400)
    return int(length)


def too_large(route: Route) -> Problem:
    """Return what a client is told whose body is larger than its route allows."""
    if route.kind == "query image":
        return query_image_too_large()
    limit = route.largest_bytes()
    shown = f"{limit / 2**20:.0f} MiB" if limit >= 2**20 else f"{limit / 2**10:.0f} KiB"
    what = "upload" if route.kind == "photos" else "body"
    return Problem(f"{what}_too_large", f"The {what} is too large; at most {shown} are accepted.", status=413)


class _InMemory(BytesIO):
    """A body in memory. Closing it frees the room it was charged for, which the application may do early."""

    def __init__(self, hold: Hold) -> None:
        super().__init__()
        self.hold = hold

    def close(self) -> None:
        super().close()
        self.hold.release()


class Bodies:
    """Takes in the bodies of one process' requests."""

    def __init__(self, *, memory: Budget, spool: Spool, bytes_per_second: float) -> None:
        """A body that comes more slowly than `bytes_per_second` is given up once its route's patience is over."""
        self._memory = memory
        self._spool = spool
        self._bytes_per_second = bytes_per_second

    async def take(
        self, receive: Receive, route: Route, client: str, declared: int | None, held: AsyncExitStack
    ) -> tuple[IO[bytes], int]:
        """Return the whole body, as a file at its beginning, and its length; `held` gives back what it takes up.

        `declared` is the length that the headers promise. Raises Problem for a body that is too large or too slow or
        for which there is no room, and ClientGone.
        """
        parts = self._parts(receive, route)
        if route.kind == "photos":
            return await self._spool.take(parts, client, declared, held)
        file = _InMemory(self._memory.hold(client, COPIES * (declared or 0)))
        held.callback(file.close)
        async for part in parts:
            if declared is None:
                file.hold.grow(COPIES * len(part))
            file.write(part)
        byte_count = file.tell()
        file.seek(0)
        return file, byte_count

    async def _parts(self, receive: Receive, route: Route) -> AsyncIterator[bytes]:
        """Yield what comes, as long as it comes in time: waiting uses up patience, and bytes restore it."""
        loop = asyncio.get_running_loop()
        most_bytes = route.largest_bytes()
        patience_seconds = route.patience_seconds
        byte_count, is_complete = 0, False
        while not is_complete:
            waits_since = loop.time()
            try:
                async with asyncio.timeout(patience_seconds):
                    message = await receive()
            except TimeoutError:
                raise Problem("body_too_slow", "The request came too slowly.", status=408) from None
            part = part_of(message)
            byte_count += len(part)
            if byte_count > most_bytes:
                raise too_large(route)
            # Only the client's time counts: while its part is written to a disk, the clock stands.
            patience_seconds += len(part) / self._bytes_per_second - (loop.time() - waits_since)
            patience_seconds = min(patience_seconds, route.patience_seconds)
            is_complete = not message.get("more_body", False)
            yield part


def part_of(message: Message) -> bytes:
    """Return the bytes that a message of `receive` brings. Raises ClientGone."""
    if message["type"] != "http.request":
        raise ClientGone
    part: bytes = message.get("body", b"")
    return part

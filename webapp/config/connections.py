"""uvicorn's protocol with bounds on what ASGI cannot see: headers, connections, and clients that do not read.

An application hears of a request when its headers are complete, so it cannot count those that never are.
"""

import asyncio
import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webapp.http.problems import PROBLEM_TYPE, Problem
from webapp.http.shares import Proxies, address_key

logger = logging.getLogger(__name__)

#: The longest request line and headers together. The longest of ours are tickets for a hundred galleries, 5 kB.
HEAD_BYTES: Final = 16 * 1024
#: How long a client may take for them, or to send a body that nobody wants.
HEAD_SECONDS: Final = 10.0
#: Requests that a client sends ahead of their answers; browsers send none.
MOST_AHEAD: Final = 8
#: One read from a socket. All connections share the buffer: what it holds is parsed before the next read.
READ_BYTES: Final = 64 * 1024
#: A client that takes less of an answer than this, for so long, is given up.
WRITE_SECONDS: Final = 20.0
WRITTEN_BYTES: Final = 64 * 1024

_BUFFER: Final = memoryview(bytearray(READ_BYTES))


class HeadRefused(Exception):
    """The headers, or the requests ahead of their answers, are too many."""


@dataclass(slots=True)
class OpenConnections:
    """The connections of this process, within bounds: in total, and for each client that is not a proxy."""

    most: int
    most_per_client: int
    proxies: Proxies
    total: int = 0
    by_client: Counter[str] = field(default_factory=Counter)
    #: Those without a request under way; the one that has been so for longest comes first.
    idle: "dict[LimitedProtocol, None]" = field(default_factory=dict)

    def enter(self, connection: "LimitedProtocol", address: str) -> bool:
        """Count the connection in, if need be in the place of the longest idle one; tell whether there was room."""
        client = "" if address in self.proxies else address_key(address)
        if client and self.by_client[client] >= self.most_per_client:
            return False
        if self.total >= self.most:
            longest_idle = next(iter(self.idle), None)
            if longest_idle is None:
                return False
            longest_idle.give_way()
        self.total += 1
        self.by_client[client] += 1
        self.idle[connection] = None
        connection.client_key = client
        return True

    def leave(self, connection: "LimitedProtocol") -> None:
        """Safe to call twice, and for a connection that was not let in."""
        self.idle.pop(connection, None)
        if connection.client_key is None:
            return
        self.total -= 1
        self.by_client[connection.client_key] -= 1
        if not self.by_client[connection.client_key]:
            del self.by_client[connection.client_key]
        connection.client_key = None


def limited(open_connections: OpenConnections) -> type["LimitedProtocol"]:
    """Return the protocol class for a server: uvicorn makes one instance for each connection."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": open_connections})


class LimitedProtocol(HttpToolsProtocol, asyncio.BufferedProtocol):
    """One connection. Reads into a buffer of its own size: asyncio would allocate 256 KiB for each read."""

    limits: ClassVar[OpenConnections]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        #: What OpenConnections counts this connection by; None when it is not counted.
        self.client_key: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._is_in_body = False
        #: Bytes received since the last ones that were body, or the end of a head.
        self._silent_bytes = 0
        self._head_bytes = 0
        self._refusal = 400

    # -- the connection --

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.limits.enter(self, self.client[0] if self.client else ""):
            self._start_timer()
        else:
            logger.warning("A connection was refused: too many are open.")
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        self.limits.leave(self)
        self._stop_timer()
        self._stop_watching()
        super().connection_lost(exc)

    def give_way(self) -> None:
        """Close this connection, which has no request under way, in favour of another one."""
        self.limits.leave(self)
        self.transport.abort()

    # -- reading --

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self._silent_bytes += nbytes
        self.data_received(bytes(_BUFFER[:nbytes]))
        if self.transport.is_closing():
            return
        if self._silent_bytes > HEAD_BYTES:
            self._refusal = 431
            self.send_400_response("")
        elif self._is_resting() and self._silent_bytes and self._timer is None:
            self._start_timer()

    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_body:
            return  # a trailer: not a header, whatever it is called
        self._head_bytes += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._head_bytes > HEAD_BYTES:
            self._refusal = 431
            raise HeadRefused
        if len(self.pipeline) >= MOST_AHEAD:
            raise HeadRefused
        self._is_in_body = True
        self._silent_bytes = self._head_bytes = 0
        self._stop_timer()
        self.limits.idle.pop(self, None)
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # the parser takes what follows for another protocol

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        super().on_body(body)

    def on_chunk_complete(self) -> None:
        self._silent_bytes = 0

    def on_message_complete(self) -> None:
        self._is_in_body = False
        self._silent_bytes = 0
        super().on_message_complete()
        if self.cycle.response_complete:  # a body that nobody wanted: the connection is as new
            self._stop_timer()
            self.limits.idle[self] = None
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()
        elif self._is_in_body:
            self._start_timer()  # a body that nobody wants
        elif self._is_resting():
            self.limits.idle[self] = None

    def _is_resting(self) -> bool:
        """Tell whether no answer is under way or due."""
        return not self.pipeline and (self.cycle is None or self.cycle.response_complete)

    def _unsupported_upgrade_warning(self) -> None:
        """uvicorn would log two lines; the door answers, and its line says so."""

    # -- refusing --

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read."""
        if self._is_resting():
            self._refuse(self._refusal)
        else:
            self.transport.abort()  # an answer is under way: nothing can be put in between

    def _refuse(self, status: int) -> None:
        code, sentence = _REFUSALS[status]
        problem = Problem(code, sentence, status=status).as_json()
        content = json.dumps(problem)
        head = f"HTTP/1.1 {status} {problem['title']}\r\n"
        head += f"content-type: {PROBLEM_TYPE}\r\ncontent-length: {len(content)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n{content}".encode())
        self._close()

    # -- time --

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._time_is_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        if self.cycle is None and self._silent_bytes:
            self._refuse(408)
        else:
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def _close(self) -> None:
        """Close the connection once the client has taken the rest of its answer, or does not go on taking it."""
        self.transport.close()
        self._watch_writing()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self._stop_watching()
        super().resume_writing()

    def _watch_writing(self) -> None:
        self._stop_watching()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self._check_writing)

    def _check_writing(self) -> None:
        if self.transport.get_write_buffer_size() > self._unsent_bytes - WRITTEN_BYTES:
            logger.info("A client stopped taking its answer; its connection was closed.")
            self.transport.abort()
        else:
            self._watch_writing()

    def _stop_watching(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


_REFUSALS: Final = {
    400: ("bad_request", "This is not an HTTP request."),
    408: ("headers_too_slow", "The headers came too slowly."),
    431: ("headers_too_large", f"The headers are too large; at most {HEAD_BYTES // 1024} KiB are accepted."),
    503: ("too_many_connections", "Too many connections are open. Please try again in a moment."),
}

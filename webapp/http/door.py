"""The door: every request passes it before Django does any work for it, and before a byte of its body is read.

It asks in this order: is this HTTP, is the host ours, does the address take this method, who sends it, how often do
they ask, how large is the body, is there room for it. Then it takes in the body, counted and in time, and hands it on
whole. A refusal costs almost nothing and keeps nothing: with more users than can be served, most answers are refusals.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from io import BytesIO
from typing import IO, Final, Protocol

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.shortcuts import resolve_url
from django.utils.http import parse_header_parameters

from tasks.errors import DatabaseUnavailable
from webapp.http.asgi import COUNTED, REFUSAL, AsgiApp, Message, Receive, Send, is_api, path_of
from webapp.http.bodies import Bodies, ClientGone, declared_bytes, part_of, too_large
from webapp.http.errors.answers import plain_page
from webapp.http.errors.kinds import internal, problem_of
from webapp.http.middleware import PAGE_POLICY
from webapp.http.problems import PROBLEM_TYPE, Problem, not_logged_in
from webapp.http.request_ids import shown_path
from webapp.http.routes import WITHOUT_BODY, Passenger, Route, Routes, Who
from webapp.http.shares import Proxies, Rates, address_key

logger = logging.getLogger(__name__)

FORM_TYPE: Final = "application/x-www-form-urlencoded"
#: A refused body up to this size is left to the server to skip. The connection of a larger one is closed, after a
#: drain: a client that finds it closed while it still sends would never see the answer.
SKIPPED_BYTES: Final = 2**20
#: How much of a refused body is thrown away before the connection is closed, and for how long: enough for a picture
#: that is just too large.
DRAINED_BYTES: Final = 21 * 2**20
DRAIN_SECONDS: Final = 2.0


class Admission(Protocol):
    """Decides whether one more search may come in. `client` is the key of who asks."""

    async def check_room(self, client: str) -> None:
        """Raise Busy when the client may not have one more search in flight, and QueueUnavailable."""
        ...

    def place(self, client: str) -> AbstractAsyncContextManager[object]:
        """Hold a place for a search of the client's for the block. Raises what `check_room` raises."""
        ...


class Delivered:
    """The `receive` of a request whose body is complete: `body` has it; calling it waits for the client to go."""

    def __init__(self, body: IO[bytes], receive: Receive) -> None:
        self.body = body
        self._receive = receive

    async def __call__(self) -> Message:
        return await self._receive()


class Door:
    """Around an ASGI application whose `receive` is then a Delivered. It answers what it refuses by itself."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        routes: Routes,
        who: Who,
        rates: Rates,
        bodies: Bodies,
        proxies: Proxies,
        admission: Callable[[], Admission],
    ) -> None:
        """`admission` is called for each search."""
        self._app = app
        self._routes = routes
        self._who = who
        self._rates = rates
        self._bodies = bodies
        self._proxies = proxies
        self._admission = admission

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _turn_away(scope, receive, send)
            return
        if is_api(path_of(scope)):
            send = self._telling_rate(scope, send)
        try:
            async with AsyncExitStack() as taken:
                body = await self._let_in(scope, receive, taken)
                held = taken.pop_all()
        # A request that is refused holds nothing by now: to get rid of the rest of its body may take seconds.
        except ClientGone:
            pass
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                logger.error("%s %s failed at the door.", scope["method"], shown_path(scope["path"]), exc_info=error)
                problem = internal()
            await _refuse(problem, scope, receive, send)
        else:
            async with held:
                await self._app(scope, Delivered(body, receive), send)

    async def _let_in(self, scope: Message, receive: Receive, held: AsyncExitStack) -> IO[bytes]:
        """Return the request's whole body. Raises Problem, FaceQueueError, ClientGone."""
        headers = dict(scope["headers"])
        _check_host(scope, headers)
        if headers.get(b"upgrade", b"").lower() == b"websocket":
            raise Problem("no_websockets", "This service has no WebSockets.", status=400)
        _check_content_type(headers)
        _check_address(scope)
        route = self._routes.find(path_of(scope))
        if scope["method"] not in route.methods:
            raise MethodNotAllowed(route)
        client = await self._client(scope, route)
        declared = declared_bytes(headers)
        if scope["method"] in WITHOUT_BODY:
            return await _nothing(declared, receive)
        if declared is not None and declared > route.largest_bytes():
            raise too_large(route)
        if route.kind == "query image":
            await self._admission().check_room(client)
        body, byte_count = await self._bodies.take(receive, route, client, declared, held)
        if declared is None:  # Django takes a missing length for 0
            framing = (b"transfer-encoding", b"content-length")
            kept = [(name, value) for name, value in scope["headers"] if name not in framing]
            scope["headers"] = [*kept, (b"content-length", str(byte_count).encode())]
        if route.kind == "query image":
            await held.enter_async_context(self._admission().place(client))
        return body

    async def _client(self, scope: Message, route: Route) -> str:
        """Return the key of who sends this. Raises Problem when they ask too often, or must log in first."""
        is_safe = scope["method"] in WITHOUT_BODY
        passenger: Passenger | None = None
        is_counted = False
        if not route.is_open:
            if not self._who.is_known(scope):
                self._count_address(scope)  # finding out is a query: not for those who ask too often
                is_counted = True
            try:
                passenger = await self._who(scope)
            except DatabaseUnavailable:
                if not is_safe:
                    raise
            except Problem:
                if not is_counted:
                    self._count_address(scope)
                raise
        if passenger is not None:
            self._count(scope, passenger.client)
            return passenger.client
        if not is_counted:
            self._count_address(scope)
        if not (route.is_open or is_safe):
            raise not_logged_in()
        return address_key(address_of(scope))

    def _count_address(self, scope: Message) -> None:
        """Raise Problem when this address asks too often."""
        address = address_of(scope)
        if address not in self._proxies:
            self._count(scope, address_key(address))

    def _count(self, scope: Message, client: str) -> None:
        scope[COUNTED] = client
        self._rates.take(client)

    def _telling_rate(self, scope: Message, send: Send) -> Send:
        """Return a `send` that adds to the answer how much of its rate the client has left."""

        async def send_with_rate(message: Message) -> None:
            if message["type"] == "http.response.start":
                rate = self._rates.headers(scope.get(COUNTED))
                message["headers"] = [*message.get("headers", ()), *_encoded(rate)]
            await send(message)

        return send_with_rate


class MethodNotAllowed(Problem):
    def __init__(self, route: Route) -> None:
        super().__init__("method_not_allowed", "This address does not take such requests.", status=405)
        self._allowed = ", ".join(sorted(route.methods))

    @property
    def headers(self) -> dict[str, str]:
        return super().headers | {"Allow": self._allowed}


def address_of(scope: Message) -> str:
    """Return the client's address, as the nearest trusted proxy knows it; empty for a Unix socket."""
    return (scope.get("client") or ("",))[0]


def _check_host(scope: Message, headers: Mapping[bytes, bytes]) -> None:
    """Raise Problem unless the request is for one of our names, as Django would, but before the body."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if settings.USE_X_FORWARDED_HOST and b"x-forwarded-host" in headers:
        hosts = [headers[b"x-forwarded-host"]]
    if not hosts:  # HTTP/1.0
        hosts = [str((scope.get("server") or ("",))[0]).encode()]
    domain, _ = split_domain_port(hosts[0].decode("latin-1"))
    if len(hosts) > 1 or not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        raise Problem("bad_host", "This service does not answer to that host name.", status=400)


def _check_content_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise Problem for a content type that Django cannot read: what it raises then would escape it."""
    try:
        kind, parameters = parse_header_parameters(headers.get(b"content-type", b"").decode("latin-1"))
    except (LookupError, ValueError):  # a parameter in an unknown or wrong encoding (RFC 2231)
        raise Problem("bad_request", "The Content-Type cannot be read.", status=400) from None
    if kind == FORM_TYPE and parameters.get("charset", "utf-8").lower() != "utf-8":
        raise Problem("bad_charset", "Please send this form in UTF-8.", status=415)


def _check_address(scope: Message) -> None:
    """Raise Problem for an address that Django or a database cannot hold."""
    query: bytes = scope.get("query_string", b"")
    if not query.isascii() or b"%00" in query or "\x00" in scope["path"]:
        raise Problem("bad_characters", "The address has characters that no address has.", status=400)


async def _nothing(declared: int | None, receive: Receive) -> IO[bytes]:
    """Return the empty body of a request that may have no other. Raises Problem, ClientGone."""
    if declared != 0:
        raise Problem("bad_request", "Such a request has no body.", status=400)
    part_of(await receive())
    return BytesIO()


async def _refuse(problem: Problem, scope: Message, receive: Receive, send: Send) -> None:
    """Answer, and get rid of a body that the client may still be sending."""
    scope[REFUSAL] = problem.code
    closes = _closes(dict(scope["headers"]))
    headers, content = _shown(problem, scope)
    headers.append((b"content-length", str(len(content)).encode()))
    headers += _encoded(problem.headers)
    status = problem.status
    if status == 401 and not is_api(path_of(scope)):
        status = 303
        headers.append((b"location", resolve_url(settings.LOGIN_URL).encode()))
    if closes:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": closes})
    if closes:
        await _drain(receive)
        await send({"type": "http.response.body", "body": b""})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _shown(problem: Problem, scope: Message) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers of the content, and the content."""
    if is_api(path_of(scope)):
        return [(b"content-type", PROBLEM_TYPE.encode())], json.dumps(problem.as_json()).encode()
    policy = (b"content-security-policy", PAGE_POLICY.encode())
    return [(b"content-type", b"text/html; charset=utf-8"), policy], plain_page(problem.message).encode()


def _closes(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether the connection cannot go on after a refusal.

    The next request begins where this one's body ends: too far away, or the client may rightly not send it at all.
    """
    try:
        declared = declared_bytes(headers)
    except Problem:
        declared = None
    return declared is None or declared > SKIPPED_BYTES or b"expect" in headers


async def _drain(receive: Receive) -> None:
    """Throw away what still comes, within bounds, so that the client gets to read the answer."""
    drained = 0
    with suppress(TimeoutError, ClientGone):
        async with asyncio.timeout(DRAIN_SECONDS):
            while drained < DRAINED_BYTES:
                message = await receive()
                drained += len(part_of(message))
                if not message.get("more_body", False):
                    return


async def _turn_away(scope: Message, receive: Receive, send: Send) -> None:
    """Close what is not HTTP. A server that has no WebSockets sends none; ours has none."""
    logger.warning("A connection of the kind %r was closed.", scope["type"])
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})  # policy violation (RFC 6455 section 7.4.1)

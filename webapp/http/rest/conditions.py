"""Conditional requests (RFC 9110 section 13): reads of what the client has already, writes of what it has seen.

The ETag of a resource is made from what GET answers at its address, as its bytes: so any change that a client could see
changes it, and no other does. It is a strong one, because If-Match holds for no weak one.
"""

import copy
import hashlib
import inspect
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.http import parse_etags

from webapp.http.problems import Problem

#: Of the hash of an answer: 128 bits.
ETAG_DIGITS: Final = 32
#: Who asks decides what the answer is.
VARY: Final = ("Authorization", "X-Api-Key", "Cookie")
#: The conditions of a write.
_CONDITIONS: Final = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")
#: What GET answers where there is nothing: no such resource (any more), and an address that is none of a resource.
_NOTHING: Final = (404, 405)

Run = Callable[..., Any]
Check = Callable[[], None]


def no_check() -> None:
    """The check of a write without a condition."""


def conditional(run: Run) -> Run:
    """Give an operation ETags and conditions. For `NinjaAPI.add_decorator(..., mode="view")`."""
    operation = inspect.unwrap(run).__self__  # a bound method of the operation
    answer_problem = operation.api.on_exception

    def finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        try:
            return _tagged(request, response)
        except Problem as problem:
            refused: HttpResponseBase = answer_problem(request, problem)
            return refused

    if operation.is_async:

        @wraps(run)
        async def answered_async(request: HttpRequest, **path: Any) -> HttpResponseBase:
            try:
                if _has_condition(request):
                    current = _current(request)
                    _check(request, await current if inspect.isawaitable(current) else current)
            except _Refused as refused:
                return refused.response
            except Problem as problem:
                response: HttpResponseBase = answer_problem(request, problem)
                return response
            return finished(request, await run(request, **path))

        return answered_async

    @wraps(run)
    def answered(request: HttpRequest, **path: Any) -> HttpResponseBase:
        try:
            if _has_condition(request):
                _check(request, _current_now(request))
        except _Refused as refused:
            return refused.response
        except Problem as problem:
            response: HttpResponseBase = answer_problem(request, problem)
            return response
        return finished(request, run(request, **path))

    return answered


def unchanged(request: HttpRequest) -> Check:
    """Return what a service calls in its transaction, when nobody else can change the resource any more.

    It raises Problem (`precondition_failed`) if the condition of the request has ceased to hold since it came in.
    """
    if not _has_condition(request):
        return no_check

    def check() -> None:
        try:
            _check(request, _current_now(request))
        except _Refused:
            raise precondition_failed() from None

    return check


def evaluated(
    request: HttpRequest, response: HttpResponse, *, etag: str, last_modified: datetime | None = None
) -> HttpResponse:
    """Return the answer to a GET, or 304 when the client has it already. Raises Problem (`precondition_failed`)."""
    if last_modified is None:
        request.META.pop("HTTP_IF_UNMODIFIED_SINCE", None)  # RFC 9110 section 13.1.4: to be ignored without a date
    seconds = None if last_modified is None else int(last_modified.timestamp())
    found = get_conditional_response(request, etag, seconds, response)
    if found is None or found.status_code == 412:
        raise precondition_failed()
    return found


def precondition_failed() -> Problem:
    sentence = "This has changed since you read it, or If-Match and If-None-Match do not hold; please read it again."
    return Problem("precondition_failed", sentence, status=412)


class _Refused(Exception):
    """The client may not read what its condition is about; `response` says why."""

    def __init__(self, response: HttpResponseBase) -> None:
        super().__init__()
        self.response = response


def _tagged(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Add an ETag to what GET answers, and to what PATCH answers: it is what GET would answer now."""
    if request.method not in ("GET", "PATCH") or response.status_code != 200:
        return response
    if not isinstance(response, HttpResponse) or response.has_header("ETag"):
        return response  # a file or events, which have conditions of their own or none
    etag = f'"{hashlib.sha256(response.content).hexdigest()[:ETAG_DIGITS]}"'
    response["ETag"] = etag
    response.headers.setdefault("Cache-Control", "private, no-cache")
    patch_vary_headers(response, VARY)
    return evaluated(request, response, etag=etag) if request.method == "GET" else response


def _has_condition(request: HttpRequest) -> bool:
    """Tell whether this is a write with a condition. Raises Problem for one that cannot be read."""
    if request.method == "GET":
        return False
    given = [request.META[each] for each in _CONDITIONS if each in request.META]
    if not all(parse_etags(each) for each in given):
        raise Problem("bad_header", "If-Match and If-None-Match take ETags in double quotes, or *.", status=400)
    return bool(given)


def _check(request: HttpRequest, current: HttpResponseBase) -> None:
    """Raise precondition_failed unless the condition of a write holds for what GET answers, and _Refused."""
    if current.status_code not in (200, *_NOTHING):
        raise _Refused(current)
    etag = current["ETag"] if current.status_code == 200 else None
    request.META.pop("HTTP_IF_UNMODIFIED_SINCE", None)
    if get_conditional_response(request, etag) is not None:
        raise precondition_failed()


def _current(request: HttpRequest) -> Any:
    """Return what GET answers the caller at the same address, or a coroutine that does."""
    asked = copy.copy(request)
    asked.method = "GET"
    asked.GET = QueryDict()
    asked.META = {name: value for name, value in request.META.items() if not name.startswith("HTTP_IF_")}
    asked.__dict__.pop("headers", None)  # cached
    view, args, kwargs = request.resolver_match  # type: ignore[misc]  # never None while an operation is running
    return view(asked, *args, **kwargs)


def _current_now(request: HttpRequest) -> HttpResponseBase:
    found = _current(request)
    response: HttpResponseBase = async_to_sync(_awaited)(found) if inspect.iscoroutine(found) else found
    return response


async def _awaited(coroutine: Any) -> HttpResponseBase:
    response: HttpResponseBase = await coroutine
    return response

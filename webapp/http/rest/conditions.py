"""Conditional requests (RFC 9110 section 13): reads of what the client has already, writes of what it has seen.

The ETag of a resource is made from the bytes that GET answers at its address (reads.py): so any change that a client
could see changes it, and no other does. It is a strong one, because If-Match holds for no weak one.
"""

import copy
import inspect
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import parse_etags

from webapp.http.problems import Problem

#: The conditions of a write. One on a date means nothing: no resource that can be written to has a date of change.
_CONDITIONS: Final = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")
_UNMODIFIED: Final = "HTTP_IF_UNMODIFIED_SINCE"
#: What GET answers where there is nothing: no such resource (any more), or an address that has no GET.
_NOTHING: Final = (404, 405)

View = Callable[..., Any]
Check = Callable[[], None]


def no_check() -> None:
    """The check of a write without a condition."""


def only_on_condition(view: View) -> View:
    """Let an operation that writes be carried out only if the request's condition holds, else `precondition_failed`.

    For `NinjaAPI.add_decorator`: the caller is known then, and a repeated request has been answered. Without a GET at
    the address of the operation, `If-Match` never holds.
    """
    if view._ninja_operation.is_async:  # type: ignore[attr-defined]  # ninja notes it there

        @wraps(view)
        async def checked_async(request: HttpRequest, **values: Any) -> Any:
            if _has_condition(request):
                found = _current(request)
                current = await found if inspect.isawaitable(found) else found
                if _is_refused(current):
                    return current
                _check(request, current)
            return await view(request, **values)

        return checked_async

    @wraps(view)
    def checked(request: HttpRequest, **values: Any) -> Any:
        if _has_condition(request):
            current = _current_now(request)
            if _is_refused(current):
                return current
            _check(request, current)
        return view(request, **values)

    return checked


def unchanged(request: HttpRequest) -> Check:
    """Return what a service calls in its transaction, when nobody else can change the resource any more.

    It raises Problem (`precondition_failed`) if the condition of the request has ceased to hold since it came in.
    """
    return (lambda: _check(request, _current_now(request))) if _has_condition(request) else no_check


def evaluated(
    request: HttpRequest, response: HttpResponse, *, etag: str, last_modified: datetime | None = None
) -> HttpResponse:
    """Return the answer to a GET, or 304 when the client has it already. Raises Problem (`precondition_failed`)."""
    if last_modified is None:
        request.META.pop(_UNMODIFIED, None)  # without a date it is to be ignored (RFC 9110 section 13.1.4)
    seconds = None if last_modified is None else int(last_modified.timestamp())
    found = get_conditional_response(request, etag, seconds, response)
    if found is None or found.status_code == 412:
        raise _failed()
    return found


def _failed() -> Problem:
    sentence = "This has changed since you read it, or If-Match and If-None-Match do not hold; please read it again."
    return Problem("precondition_failed", sentence, status=412)


def _has_condition(request: HttpRequest) -> bool:
    """Tell whether this is a write with a condition. Raises Problem for one that cannot be read."""
    if request.method == "GET":
        return False
    given = [request.META[each] for each in _CONDITIONS if each in request.META]
    if not all(parse_etags(each) for each in given):
        raise Problem("bad_header", "If-Match and If-None-Match take ETags in double quotes, or *.", status=400)
    return bool(given)


def _is_refused(current: HttpResponseBase) -> bool:
    """Tell whether the client may not read what its condition is about, or cannot now."""
    return current.status_code not in (200, *_NOTHING)


def _check(request: HttpRequest, current: HttpResponseBase) -> None:
    """Raise Problem unless the condition of a write holds for what GET answers."""
    if _is_refused(current):
        raise _failed()
    etag = current["ETag"] if current.status_code == 200 else None
    request.META.pop(_UNMODIFIED, None)
    if get_conditional_response(request, etag) is not None:
        raise _failed()


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

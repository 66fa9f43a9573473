"""HEAD wherever there is GET: the same headers, no body (RFC 9110 section 9.3.2)."""

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern


def with_head(urls: tuple[Sequence[Any], str, str]) -> tuple[list[Any], str, str]:
    """Return the addresses of an API (`NinjaAPI.urls`), each answering HEAD where it answers GET."""
    patterns, *names = urls
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            pattern.callback = _with_head(pattern.callback)
    return list(patterns), names[0], names[1]


def _with_head(view: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(view):

        @wraps(view)
        async def answer_async(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method != "HEAD":
                return _allowing_head(await view(request, *args, **kwargs))
            _ask_for_all(request)
            try:
                return _without_body(await view(request, *args, **kwargs))
            finally:
                request.method = "HEAD"

        return answer_async

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "HEAD":
            return _allowing_head(view(request, *args, **kwargs))
        _ask_for_all(request)
        try:
            return _without_body(view(request, *args, **kwargs))
        finally:
            request.method = "HEAD"

    return answer


def _ask_for_all(request: HttpRequest) -> None:
    """Ask for the headers of the whole: a Range is for GET alone (RFC 9110 section 14.2)."""
    request.method = "GET"
    request.META.pop("HTTP_RANGE", None)
    request.__dict__.pop("headers", None)  # cached


def _without_body(response: HttpResponseBase) -> HttpResponseBase:
    """Return the answer to a GET without its body, with the length that it would have."""
    _allowing_head(response)
    if isinstance(response, HttpResponse):
        if response.status_code != 304:
            response.headers.setdefault("Content-Length", str(len(response.content)))
        response.content = b""
        return response
    bare = HttpResponse(status=response.status_code, headers=response.headers)
    bare.cookies = response.cookies
    response.close()
    return bare


def _allowing_head(response: HttpResponseBase) -> HttpResponseBase:
    methods = {each.strip() for each in response.headers.get("Allow", "").split(",")}
    if "GET" in methods:
        response["Allow"] = ", ".join(sorted(methods | {"HEAD"}))
    return response

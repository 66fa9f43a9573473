"""What all reads have in common: HEAD wherever there is GET, and an ETag on every answer that has none."""

import hashlib
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern
from django.utils.cache import patch_vary_headers

from webapp.http.errors.answers import answer
from webapp.http.problems import Problem
from webapp.http.rest.conditions import evaluated

#: Of the hash of an answer: 128 bits.
ETAG_DIGITS: Final = 32
#: Who asks decides what the answer is.
VARY: Final = ("Authorization", "X-Api-Key", "Cookie")


def with_complete_reads(urls: tuple[Sequence[Any], str, str]) -> tuple[list[Any], str, str]:
    """Return the addresses of an API (`NinjaAPI.urls`), each answering HEAD where it answers GET, both with ETags."""
    patterns, app, namespace = urls
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            pattern.callback = _complete(pattern.callback)
    return list(patterns), app, namespace


def _complete(view: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(view):

        @wraps(view)
        async def answer_async(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            is_head = _as_get(request)
            try:
                return _finished(request, await view(request, *args, **kwargs), is_head)
            finally:
                request.method = "HEAD" if is_head else request.method

        return answer_async

    @wraps(view)
    def answer_sync(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        is_head = _as_get(request)
        try:
            return _finished(request, view(request, *args, **kwargs), is_head)
        finally:
            request.method = "HEAD" if is_head else request.method

    return answer_sync


def _as_get(request: HttpRequest) -> bool:
    """Let HEAD be answered as GET is, with the headers of the whole; tell whether it is HEAD.

    A Range is for GET alone (RFC 9110 section 14.2).
    """
    if request.method != "HEAD":
        return False
    request.method = "GET"
    request.META.pop("HTTP_RANGE", None)
    request.__dict__.pop("headers", None)  # cached
    return True


def _finished(request: HttpRequest, response: HttpResponseBase, is_head: bool) -> HttpResponseBase:
    response = _tagged(request, response)
    methods = {each.strip() for each in response.headers.get("Allow", "").split(",")}
    if "GET" in methods:
        response["Allow"] = ", ".join(sorted(methods | {"HEAD"}))
    return without_body(response) if is_head else response


def _tagged(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Add an ETag to what GET answers, and to what PATCH answers: it is what GET would answer now.

    Files have ETags and conditions of their own, and events have none.
    """
    if request.method not in ("GET", "PATCH") or response.status_code != 200:
        return response
    if not isinstance(response, HttpResponse) or response.has_header("ETag"):
        return response
    etag = f'"{hashlib.sha256(response.content).hexdigest()[:ETAG_DIGITS]}"'
    response["ETag"] = etag
    response.headers.setdefault("Cache-Control", "private, no-cache")
    patch_vary_headers(response, VARY)
    if request.method == "PATCH":
        return response
    try:
        return evaluated(request, response, etag=etag)
    except Problem as problem:
        return answer(request, problem)


def without_body(response: HttpResponseBase) -> HttpResponseBase:
    """Return the answer to a GET without its body, with the length that it would have."""
    if isinstance(response, HttpResponse):
        if response.status_code != 304:
            response.headers.setdefault("Content-Length", str(len(response.content)))
        response.content = b""
        return response
    bare = HttpResponse(status=response.status_code, headers=response.headers)
    bare.cookies = response.cookies
    response.close()
    return bare

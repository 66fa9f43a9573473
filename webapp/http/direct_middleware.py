"""Middlewares without threads: the base of ours, and Django's own on it.

Under ASGI, Django runs each method of its middlewares in a thread: a page switches threads sixteen times, and on a busy
machine waiting for them takes most of the page's time. These methods only read headers, cookies and objects in memory,
so here they run on the event loop. The few that may use the database or parse a body still run in a thread.
"""

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoAuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware as DjangoMessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware as DjangoXFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware as DjangoCommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware as DjangoCsrfViewMiddleware
from django.middleware.security import SecurityMiddleware as DjangoSecurityMiddleware
from django.utils.deprecation import MiddlewareMixin

from webapp.http.errors.answers import answer_to

#: Requests whose CSRF check reads nothing (RFC 9110 section 9.2.1).
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Direct(MiddlewareMixin):
    """Runs the methods on the event loop, except `process_response` when `needs_thread` says so."""

    async def __acall__(self, request: HttpRequest) -> Any:
        response = self.process_request(request) if hasattr(self, "process_request") else None
        response = response or await self.get_response(request)  # type: ignore[misc]
        if not hasattr(self, "process_response"):
            return response
        if self.needs_thread(request, response):
            return await sync_to_async(self.process_response)(request, response)
        return self.process_response(request, response)

    def needs_thread(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        return False


class SecurityMiddleware(Direct, DjangoSecurityMiddleware):
    pass


class SessionMiddleware(Direct, DjangoSessionMiddleware):
    def needs_thread(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        """A changed session is written to the database."""
        return bool(request.session.modified)


class CommonMiddleware(Direct, DjangoCommonMiddleware):
    pass


class CsrfViewMiddleware(Direct, DjangoCsrfViewMiddleware):
    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if self.async_mode:
            self.process_view = self._process_view_async  # type: ignore[assignment, method-assign]

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:  # type: ignore[override]
        try:
            return super().process_view(request, *view)
        except Exception as error:
            # Django would answer from a thread of its own, and log a traceback of what the client has sent.
            answer = answer_to(request, error)
            if answer is None:
                raise
            return answer

    async def _process_view_async(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:
        check = type(self).process_view
        if request.method in SAFE_METHODS:
            return check(self, request, *view)
        return await sync_to_async(check)(self, request, *view)  # parses the form, and large photos into files


class AuthenticationMiddleware(Direct, DjangoAuthenticationMiddleware):
    pass


class MessageMiddleware(Direct, DjangoMessageMiddleware):
    def needs_thread(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        """Messages that do not fit into the cookie go into the session."""
        messages = getattr(request, "_messages", None)
        return messages is not None and (messages.used or messages.added_new)


class XFrameOptionsMiddleware(Direct, DjangoXFrameOptionsMiddleware):
    pass

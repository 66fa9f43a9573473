"""Our own middlewares. None of them holds a thread while an async view waits."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin
from whitenoise.middleware import WhiteNoiseMiddleware

from tasks.errors import DatabaseUnavailable
from webapp.http.problems import PROBLEM_TYPE, Problem, is_full_disk, storage_full

logger = logging.getLogger(__name__)

#: Pages load only what this service serves; nothing inline, no frames.
PAGE_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
)

GetResponse = Callable[[HttpRequest], Any]


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise for async requests.

    WhiteNoise's own middleware is synchronous: Django would run each request in one of its threads and hold that
    thread until the response is ready, even while a search waits. This one awaits the rest of the chain.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if iscoroutinefunction(self):
            return self.__acall__(request)
        response: HttpResponseBase = super().__call__(request)
        return response

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        static_file = None
        if request.path_info.startswith(self.static_prefix):
            static_file = self.find_file(request.path_info) if self.autorefresh else self.files.get(request.path_info)
        response: HttpResponseBase
        if static_file is None:
            response = await self.get_response(request)
        else:
            response = await sync_to_async(self.serve)(static_file, request)
        return response

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """Return the whole file: ours are small, and a synchronous iterator would not stream anyway."""
        found = static_file.get_response(request.method, request.META)
        content = b""
        if found.file is not None:
            with found.file as file:
                content = file.read()
        response = HttpResponse(content, status=int(found.status))
        del response["Content-Type"]
        for key, value in found.headers:
            response[key] = value
        return response


class ContentSecurityPolicyMiddleware:
    """Adds PAGE_POLICY to every response without a policy."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self.__acall__(request)
        return self._with_policy(self.get_response(request))

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        return self._with_policy(await self.get_response(request))

    @staticmethod
    def _with_policy(response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        return response


class ProblemMiddleware(MiddlewareMixin):
    """Turns a Problem raised in a page's view into an error page. The API has handlers of its own."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if is_full_disk(exception):
            logger.error("The disk is full: %s", exception)
            return plain_answer(storage_full())
        if isinstance(exception, OperationalError):
            logger.error("The database does not answer: %s", exception)
            return plain_answer(Problem.from_error(DatabaseUnavailable()))
        if isinstance(exception, Problem):
            response = render(request, "problem.html", {"problem": exception}, status=exception.status)
            return with_headers(response, exception)
        return None


def plain_answer(problem: Problem) -> HttpResponse:
    """Return an answer without our page, which reads the database."""
    response = HttpResponse(str(problem), status=problem.status, content_type="text/plain; charset=utf-8")
    return with_headers(response, problem)


def json_answer(problem: Problem) -> HttpResponse:
    """Return the problem as the API answers it."""
    return with_headers(JsonResponse(problem.as_json(), status=problem.status, content_type=PROBLEM_TYPE), problem)


def with_headers(response: HttpResponse, problem: Problem) -> HttpResponse:
    for name, value in problem.headers.items():
        response[name] = value
    return response

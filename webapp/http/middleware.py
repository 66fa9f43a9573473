"""Our own middlewares. None of them holds a thread while an async view waits."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

from webapp.http.direct_middleware import Direct
from webapp.http.errors.answers import answer_to, is_bare_refusal, refusal_answer

#: Pages load only what this service serves; nothing inline, no frames. `blob:` is a file that the visitor has chosen,
#: and that the page shows before it is sent.
PAGE_POLICY: Final = (
    "default-src 'self'; img-src 'self' blob:; base-uri 'none'; object-src 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
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


class PageHeadersMiddleware(Direct):
    """Adds PAGE_POLICY to every response without a policy, and keeps those that say nothing else out of caches."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class PagePartsMiddleware(Direct):
    """Answers 401 to a page that asks for a part of itself and would be led to another page: the log-in.

    htmx would follow, and put the whole of that page in the place of the part. The page stays as it is, with an upload
    that waits on it, and gets its parts again once somebody has logged in, in another tab.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_part = request.headers.get("HX-Request") == "true"
        return HttpResponse(status=401) if is_part and response.status_code == 302 else response


class ProblemMiddleware(Direct):
    """Gives every refusal a page or a problem: whatever a view raises or answers. Belongs last, next to the views."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return refusal_answer(request, response) if is_bare_refusal(request, response) else response

    def needs_thread(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        """A page about the refusal reads the session."""
        return is_bare_refusal(request, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return answer_to(request, exception)

"""How a Problem is answered: to programs as problem details (RFC 9457), to people as a page that leads back."""

from functools import lru_cache
from http import HTTPStatus
from typing import Final

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from webapp.http.asgi import REFUSAL, is_api
from webapp.http.errors.kinds import problem_of
from webapp.http.problems import PROBLEM_TYPE, Problem

#: Problems of which a page can only be shown that reads nothing.
_WITHOUT_DATABASE: Final = frozenset({"storage_full", "database_unavailable", "internal"})


def answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Return the answer, whose code the log line of the request shows."""
    if is_api(request.path_info):
        response: HttpResponse = JsonResponse(problem.as_json(), status=problem.status, content_type=PROBLEM_TYPE)
    else:
        response = HttpResponse(_page(request, problem), status=problem.status)
    for name, value in problem.headers.items():
        response[name] = value
    getattr(request, "scope", {})[REFUSAL] = problem.code
    return response


def answer_to(request: HttpRequest, error: BaseException) -> HttpResponse | None:
    """Return the answer to a request that raised the error; None if the error is a fault of this service."""
    problem = problem_of(error)
    if problem is None:
        return None
    # Whoever asks for the form again, as a page may, would raise the error again.
    if not isinstance(error, Problem):
        request._mark_post_parse_error()  # type: ignore[attr-defined]
    return answer(request, problem)


def is_bare_refusal(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Tell whether the response refuses the request without a body for who has sent it: Django's 405 is empty."""
    if is_api(request.path_info):
        return response.status_code >= 400 and response.get("Content-Type") != PROBLEM_TYPE
    return isinstance(response, HttpResponseNotAllowed)


def refusal_answer(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    """Return the answer that says what a bare refusal means by its status."""
    status = HTTPStatus(response.status_code)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        better = answer(request, Problem("method_not_allowed", "This address does not take such requests.", status=405))
    else:
        better = answer(request, Problem(status.name.lower(), f"{status.phrase}.", status=status))
    for name, value in response.items():
        if not name.lower().startswith("content-") or name == "Content-Range":
            better.headers.setdefault(name, value)
    return better


@lru_cache(maxsize=100)
def plain_page(message: str) -> str:
    """Return the page for somebody of whom nothing is known: no database, no session, and almost no time."""
    return render_to_string("problem.html", {"message": message})


def _page(request: HttpRequest, problem: Problem) -> str:
    if problem.code not in _WITHOUT_DATABASE:
        try:
            return render_to_string("problem.html", {"message": problem.message}, request)
        except DatabaseError:  # the page shows who is logged in
            pass
    return plain_page(problem.message)

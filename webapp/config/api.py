"""The JSON API under /api/v1/: who may ask, and how errors are answered. The routes live in each app's api.py."""

import logging
from typing import Any

from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.docs import Swagger

from tasks.errors import DatabaseUnavailable
from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope
from webapp.accounts.idempotency.answers import Repeated, keeping_answers
from webapp.config.openapi.document import DocumentedAPI
from webapp.gallery.api import routers as gallery_routers
from webapp.generations.api import router as generations_router
from webapp.http.middleware import json_answer
from webapp.http.problems import Problem, is_full_disk, not_found, not_logged_in, storage_full
from webapp.jobs.api import router as jobs_router
from webapp.people.api import router as people_router
from webapp.search.api import router as search_router

logger = logging.getLogger(__name__)


class Documentation(Swagger):
    """The documentation page; Swagger styles its elements inline, which our page policy forbids elsewhere."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        response = super().render_page(request, api, **kwargs)
        response["Content-Security-Policy"] = (
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
        )
        return response


api = DocumentedAPI(
    title="facequeue",
    version="1",
    description="Galleries, photos, people and face searches. Errors are problem details (RFC 9457).",
    auth=Needs(Scope.READ),
    docs=Documentation(),
    docs_decorator=require_safe,  # for everybody: it says nothing about what this service holds
    servers=[{"url": "/", "description": "This service"}],
)
api.add_decorator(keeping_answers, mode="view")
for router in (*gallery_routers, people_router, search_router, jobs_router, generations_router):
    api.add_router("", router)


def _answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    return json_answer(problem)


@api.exception_handler(Problem)
def _problem(request: HttpRequest, error: Problem) -> HttpResponse:
    return _answer(request, error)


@api.exception_handler(Repeated)
def _repeated(request: HttpRequest, repeated: Repeated) -> HttpResponse:
    return repeated.response


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return _answer(request, not_found("thing"))


@api.exception_handler(AuthenticationError)
def _not_logged_in(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return _answer(request, not_logged_in())


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    code = "csrf" if error.status_code == 403 else "bad_request"
    return _answer(request, Problem(code, error.message, status=error.status_code))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    message = f"{first['loc'][-1]}: {first['msg']}."
    return _answer(request, Problem("invalid_request", message, status=422))


@api.exception_handler(OperationalError)
def _database_down(request: HttpRequest, error: OperationalError) -> HttpResponse:
    if is_full_disk(error):
        return _disk_full(request, error)
    logger.error("The database does not answer: %s", error)
    return _answer(request, Problem.from_error(DatabaseUnavailable()))


def _disk_full(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("The disk is full: %s", error)
    return _answer(request, storage_full())


@api.exception_handler(Exception)
def _internal(request: HttpRequest, error: Exception) -> HttpResponse:
    if is_full_disk(error):
        return _disk_full(request, error)
    logger.error("%s %s failed.", request.method, request.path, exc_info=error)
    return _answer(request, Problem("internal", "Something went wrong here; the log of the service says what."))

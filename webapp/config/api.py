"""The JSON API under /api/v1/: who may ask, and how errors are answered. The routes live in each app's api.py."""

import logging
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.docs import Swagger

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope
from webapp.accounts.idempotency.answers import Repeated, keeping_answers
from webapp.config.openapi.document import DocumentedAPI
from webapp.gallery.api import routers as gallery_routers
from webapp.generations.api import router as generations_router
from webapp.http.errors.answers import answer, answer_to
from webapp.http.errors.kinds import internal
from webapp.http.problems import Problem, not_logged_in
from webapp.http.request_ids import shown_path
from webapp.http.rest.conditions import only_on_condition
from webapp.http.rest.parameters import only_known_parameters, unknown_parameter
from webapp.http.rest.parser import StrictParser
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
    parser=StrictParser(),
    docs=Documentation(),
    docs_decorator=require_safe,  # for everybody: it says nothing about what this service holds
    servers=[{"url": "/", "description": "This service"}],
)
api.add_decorator(keeping_answers, mode="view")
api.add_decorator(only_on_condition)
api.add_decorator(only_known_parameters)  # comes first: a later decorator is around the earlier ones
for router in (*gallery_routers, people_router, search_router, jobs_router, generations_router):
    api.add_router("", router)


@api.exception_handler(Exception)
def _failed(request: HttpRequest, error: Exception) -> HttpResponse:
    """Answer whatever was raised. ninja looks for the nearest class: those below are its own."""
    response = answer_to(request, error)
    if response is not None:
        return response
    logger.error("%s %s failed.", request.method, shown_path(request.path), exc_info=error)
    return answer(request, internal())


@api.exception_handler(Repeated)
def _repeated(request: HttpRequest, repeated: Repeated) -> HttpResponse:
    return repeated.response


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return _failed(request, error)


@api.exception_handler(AuthenticationError)
def _not_logged_in(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return answer(request, not_logged_in())


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer what ninja raises: for a body that the parser does not read, because of what the parser says."""
    if isinstance(error.__cause__, Problem):
        return _failed(request, error.__cause__)
    return answer(request, Problem("bad_request", error.message, status=error.status_code))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    unknown = next((each for each in error.errors if each["type"] == "extra_forbidden"), None)
    if unknown is not None:
        return answer(request, unknown_parameter(str(unknown["loc"][-1])))
    return answer(request, Problem("invalid_request", _sentence(error.errors[0]), status=422))


def _sentence(error: dict[str, Any]) -> str:
    """Say what is wrong with which value; the place of a value in a body begins with "body" and ninja's own names."""
    source, *place = error["loc"]
    if source == "body" and len(place) <= 1 and error["type"] in ("missing", "model_attributes_type", "model_type"):
        return "Please send a JSON object."
    named = [str(each) for each in (place[1:] if source == "body" else place)] or ["body"]
    return f"{'.'.join(named)}: {error['msg']}."

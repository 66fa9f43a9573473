"""The API whose document says more than ninja knows: who may call an operation, all its answers, and examples."""

from functools import cache
from typing import Any

from django.conf import settings
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from webapp.accounts.authentication import Needs
from webapp.config.openapi import answers
from webapp.config.openapi.examples import add_examples

#: The ways to say who asks. An operation takes any one of them.
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key: `Authorization: Bearer fq_...`.",
    },
    "api_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "An API key, for clients that cannot send `Authorization`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": settings.SESSION_COOKIE_NAME,
        "description": "The session of somebody who is logged in to the pages. It has every scope. Requests that "
        "change something also need the header `X-CSRFToken` with the value of the cookie `csrftoken`.",
    },
}


class DocumentedAPI(NinjaAPI):
    """NinjaAPI with a complete document."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Return the document, which is made once: anybody may ask for it, as often as the door allows."""
        return _document(self, self.get_root_path(path_params or {}) if path_prefix is None else path_prefix)

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return the name of the view: stable, wherever the view moves."""
        name: str = operation.view_func.__name__
        return name


@cache
def _document(api: NinjaAPI, path_prefix: str) -> OpenAPISchema:
    document = Document(api, path_prefix)
    add_examples(document)
    return document


class Document(OpenAPISchema):
    """ninja's document, completed operation by operation."""

    def operation_details(self, operation: Operation) -> dict[str, Any]:
        details: dict[str, Any] = super().operation_details(operation)
        needs = needs_of(operation)
        details["security"] = [{"bearer": [needs.scope]}, {"api_key": [needs.scope]}, {"session": []}]
        details["description"] = "\n\n".join(filter(None, [details.get("description"), _who_may(needs)]))
        return details

    def responses(self, operation: Operation) -> dict[int, Any]:
        described = super().responses(operation)
        statuses = {status for status in described if status >= 400} | answers.usual_problems(operation)
        found = {status: answers.with_headers(answer) for status, answer in described.items() if status < 400}
        return dict(sorted((found | {status: answers.reference(status) for status in statuses}).items()))

    def get_components(self) -> dict[str, Any]:
        return {
            **super().get_components(),
            "headers": answers.HEADERS,
            "responses": answers.problem_responses(),
            "securitySchemes": SECURITY_SCHEMES,
        }


def needs_of(operation: Operation) -> Needs:
    """Return what an operation needs of its caller. Raises TypeError for one with another kind of `auth`."""
    (needs,) = operation.auth_callbacks
    if not isinstance(needs, Needs):
        raise TypeError(f"{operation.view_func} needs auth=Needs(...)")
    return needs


def _who_may(needs: Needs) -> str:
    sentence = f"An API key needs the scope `{needs.scope}`."
    if needs.permission is None:
        return sentence
    permission = f" with the permission `{needs.permission}`" if needs.permission else ""
    return f"{sentence} For staff{permission}."

"""Who may call an operation, and how they say who they are."""

from typing import Any, Final

from django.conf import settings
from ninja.operation import Operation

from webapp.accounts.authentication import Needs

#: The ways to say who asks. An operation takes any one of them.
SCHEMES: Final[dict[str, Any]] = {
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


def needs_of(operation: Operation) -> Needs:
    """Return what an operation needs of its caller. Raises TypeError for one with another kind of `auth`."""
    (needs,) = operation.auth_callbacks
    if not isinstance(needs, Needs):
        raise TypeError(f"{operation.view_func} needs auth=Needs(...)")
    return needs


def ways_in(needs: Needs) -> list[dict[str, list[str]]]:
    """Return how an operation may be authenticated. For a key, its scope is what OpenAPI 3.1 calls a role."""
    return [{"bearer": [needs.scope]}, {"api_key": [needs.scope]}, {"session": []}]


def who_may(needs: Needs) -> str:
    """Return a sentence for the description of an operation."""
    sentence = f"An API key needs the scope `{needs.scope}`."
    if needs.permission is None:
        return sentence
    permission = f" with the permission `{needs.permission}`" if needs.permission else ""
    return f"{sentence} For staff{permission}."

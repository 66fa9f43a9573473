"""What pages share: forms, counts in words, warnings that are shown once, and polling with htmx."""

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from pydantic import BaseModel, ValidationError

from webapp.http.problems import Problem
from webapp.http.schemas import rule

Form = TypeVar("Form", bound=BaseModel)

#: htmx stops polling when it reads this status.
STOP_POLLING = 286
#: The most refused files or photos that are listed individually.
REFUSALS_SHOWN = 10
#: Photos on a page of a grid.
GRID_SIZE = 60


def uuid_or_none(text: str) -> UUID | None:
    """Return the id in a form's field or an address; None if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def photos_text(count: int) -> str:
    """Return "1 photo" or "2 photos"."""
    return "1 photo" if count == 1 else f"{count} photos"


def warn(request: HttpRequest, warning: str) -> None:
    """Show the warning on the next page, unless it is empty."""
    if warning:
        messages.warning(request, warning)


def tell_refused(request: HttpRequest, sentences: Sequence[str], *, more: str) -> None:
    """Show a sentence about each thing that was refused, on the next page; of too many, how many "more" there are."""
    for sentence in sentences[:REFUSALS_SHOWN]:
        messages.error(request, sentence)
    if len(sentences) > REFUSALS_SHOWN:
        messages.error(request, f"{len(sentences) - REFUSALS_SHOWN} more {more}.")


def posted(request: HttpRequest) -> QueryDict | None:
    """Return the form that was sent, even if it is empty; None if the page is only asked for."""
    return request.POST if request.method == "POST" else None


async def render_page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    problem: Problem | None = None,
    status: int | None = None,
) -> HttpResponse:
    """Render, for an async view, in a thread: the template reads the session.

    `problem` is what the page has to say, and `status` None stands for that of the problem.
    """
    request.user = await request.auser()  # Django would read the user again for the template
    status = status or (problem.status if problem else 200)
    response = await sync_to_async(render)(request, template, context | {"problem": problem}, status=status)
    for name, value in (problem.headers if problem else {}).items():
        response[name] = value
    return response


def form_of(request: HttpRequest, form: type[Form]) -> Form:
    """Read the filled fields of a form that was sent. Raises Problem with a sentence."""
    try:
        filled = {name: value for name, value in request.POST.items() if value}
        return form.model_validate(filled, strict=False, extra="ignore")  # all values are text
    except ValidationError as error:
        name = error.errors()[0]["loc"][-1]
        raise Problem("invalid_request", f"{name}: {rule(error)}.", status=400) from None

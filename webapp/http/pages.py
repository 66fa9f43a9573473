"""What pages share: forms, counts in words, warnings that are shown once, and polling with htmx."""

from typing import TypeVar

from django.contrib import messages
from django.http import HttpRequest
from pydantic import BaseModel, ValidationError

from webapp.http.problems import Problem
from webapp.http.schemas import rule

Form = TypeVar("Form", bound=BaseModel)

#: htmx stops polling when it reads this status.
STOP_POLLING = 286


def photos_text(count: int) -> str:
    """Return "1 photo" or "2 photos"."""
    return "1 photo" if count == 1 else f"{count} photos"


def warn(request: HttpRequest, warning: str) -> None:
    """Show the warning on the next page, unless it is empty."""
    if warning:
        messages.warning(request, warning)


def form_of(request: HttpRequest, form: type[Form]) -> Form:
    """Read the filled fields of a form that was sent. Raises Problem with a sentence."""
    try:
        filled = {name: value for name, value in request.POST.items() if value}
        return form.model_validate(filled, strict=False, extra="ignore")  # all values are text
    except ValidationError as error:
        name = error.errors()[0]["loc"][-1]
        raise Problem("invalid_request", f"{name}: {rule(error)}.", status=400) from None

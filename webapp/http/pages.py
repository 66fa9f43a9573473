"""What pages share: counts in words, warnings that are shown once, and polling with htmx."""

from django.contrib import messages
from django.http import HttpRequest

#: htmx stops polling when it reads this status.
STOP_POLLING = 286
#: Photos on a page of a grid.
GRID_SIZE = 60


def photos_text(count: int) -> str:
    """Return "1 photo" or "2 photos"."""
    return "1 photo" if count == 1 else f"{count} photos"


def warn(request: HttpRequest, warning: str) -> None:
    """Show the warning on the next page, unless it is empty."""
    if warning:
        messages.warning(request, warning)

"""Messages that pages show once: counts in words, and warnings from services."""

from django.contrib import messages
from django.http import HttpRequest


def photos_text(count: int) -> str:
    """Return "1 photo" or "2 photos"."""
    return "1 photo" if count == 1 else f"{count} photos"


def warn(request: HttpRequest, warning: str) -> None:
    """Show the warning on the next page, unless it is empty."""
    if warning:
        messages.warning(request, warning)

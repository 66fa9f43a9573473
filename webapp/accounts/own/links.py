"""The addresses of links that people hand on."""

from django.conf import settings
from django.http import HttpRequest


def absolute(path: str, request: HttpRequest | None = None) -> str:
    """Return the whole address of a path, as browsers reach it: by PUBLIC_URL, else as the request reached us."""
    if request is not None and not settings.PUBLIC_URL:
        return request.build_absolute_uri(path)
    base_url: str = settings.PUBLIC_URL or f"http://localhost:{settings.PORTS.web}"
    return base_url + path

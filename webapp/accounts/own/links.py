"""The addresses of links that operators hand on."""

from django.conf import settings


def absolute(path: str) -> str:
    """Return the whole address of a path, as browsers reach it."""
    base_url: str = settings.PUBLIC_URL or f"http://localhost:{settings.PORTS.web}"
    return base_url + path

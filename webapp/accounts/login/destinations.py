"""Where people go once they are logged in."""

from typing import Final
from urllib.parse import quote, unquote

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

#: Remembers the page that somebody wanted who had to make an account first, with a link from elsewhere.
COOKIE_NAME: Final = "wanted"
COOKIE_SECONDS: Final = 24 * 3600
LONGEST_REMEMBERED: Final = 500


def wanted_by(request: HttpRequest) -> str:
    """Return what `next` says, or what the browser was told to remember; empty if that is no page of ours."""
    remembered = unquote(request.COOKIES.get(COOKIE_NAME, ""))
    wanted = request.POST.get("next") or request.GET.get("next") or remembered
    return wanted if is_ours(request, wanted) else ""


def remember_wanted(response: HttpResponseBase, wanted: str) -> None:
    """Let the browser that gets this response show the page's address where accounts are made, and nowhere else."""
    if wanted and len(wanted) <= LONGEST_REMEMBERED and settings.SIGN_UP != "closed":
        response.set_cookie(
            COOKIE_NAME,
            quote(wanted),
            max_age=COOKIE_SECONDS,
            path="/sign-up/",
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )


def forget_wanted(response: HttpResponseBase) -> None:
    response.delete_cookie(COOKIE_NAME, path="/sign-up/")


def is_ours(request: HttpRequest, wanted: str) -> bool:
    """Tell whether this is a page of ours that people who are logged in have a use for."""
    is_here = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return is_here and not wanted.startswith((reverse("login"), reverse("logout"), "/sign-up/", "/password/"))


def destination_of(wanted: str) -> str:
    return wanted or resolve_url(settings.LOGIN_REDIRECT_URL)

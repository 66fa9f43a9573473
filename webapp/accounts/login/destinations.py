"""Where people go once they are logged in."""

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme


def wanted_by(request: HttpRequest) -> str:
    """Return what `next` says; empty if it says nothing, another host, or a page for strangers."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return wanted if is_ours(request, wanted) else ""


def is_ours(request: HttpRequest, wanted: str) -> bool:
    """Tell whether this is a page of ours that people who are logged in have a use for."""
    is_here = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return is_here and not wanted.startswith((reverse("login"), "/sign-up/", "/password/"))


def destination_of(wanted: str) -> str:
    return wanted or resolve_url(settings.LOGIN_REDIRECT_URL)

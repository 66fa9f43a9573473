"""Pages and API operations for staff only. For anybody else they do not exist."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from ninja.security import SessionAuth

from webapp.http.problems import not_found


class StaffAuth(SessionAuth):
    """Session authentication for staff: for other users the operation does not exist."""

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        user = super().authenticate(request, key)
        if user is not None and not user.is_staff:
            raise not_found("page")
        return user


def actor_of(request: HttpRequest) -> str:
    """Return the user's name, for the audit log."""
    return request.user.get_username()


View = Callable[..., HttpResponse]


def staff_only(view: View) -> View:
    """Let only staff see the page: for other users it does not exist."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_staff:
            raise not_found("page")
        return view(request, *args, **kwargs)

    return guarded

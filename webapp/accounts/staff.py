"""Pages and API operations for staff only. For anybody else they do not exist. Some need a permission besides."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse

from webapp.accounts.callers import caller_of
from webapp.http.problems import Problem, not_found


def actor_of(request: HttpRequest) -> str:
    """Return the user's name, for the audit log."""
    return caller_of(request).user.get_username()


View = Callable[..., HttpResponse]


def staff_only(view: View) -> View:
    """Let only staff see the page."""
    return _guarded(view, "")


def staff_with(permission: str) -> Callable[[View], View]:
    """Let only staff with the permission send the page's form."""
    return lambda view: _guarded(view, permission)


def _guarded(view: View, permission: str) -> View:
    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        check_staff(request.user, permission)
        return view(request, *args, **kwargs)

    return guarded


def check_staff(user: Any, permission: str) -> None:
    """Raise Problem unless the user is one of the staff and has the permission."""
    if not user.is_staff:
        raise not_found("page")
    if permission and not user.has_perm(permission):
        raise Problem("forbidden", f"This needs the permission {permission}, which the admin gives.", status=403)

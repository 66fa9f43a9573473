"""The admin, without a log-in of its own: attempts are limited in one place, and passwords hashed in one pool."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Final
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django.contrib.admin import AdminSite as DjangoAdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, reverse

from webapp.accounts.login.pools import hashing_pool
from webapp.http.problems import Problem, not_found
from worker.errors import Busy

#: The pages that hash a password when their form is sent.
HASHING_PAGES: Final = frozenset({"auth_user_add", "auth_user_password_change"})


class AdminSite(DjangoAdminSite):
    site_header = "facequeue admin"
    site_title = "facequeue"
    index_title = "Users and rows of the database"

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send visitors to the page where everybody logs in. For users who are not staff there is no admin."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise not_found("page")
        wanted = request.GET.get("next") or reverse("admin:index")
        return HttpResponseRedirect(f"{reverse('login')}?{urlencode({'next': wanted})}")

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Staff change their passwords where everybody does: attempts at the old one are counted there."""
        return HttpResponseRedirect(reverse("password_change"))

    def get_urls(self) -> list[Any]:
        urls = super().get_urls()
        for pattern in _flat(urls):
            if pattern.name in HASHING_PAGES:
                pattern.callback = _hashing_in_the_pool(pattern.callback)
        return urls


def _flat(urls: list[Any]) -> Iterator[URLPattern]:
    for each in urls:
        if isinstance(each, URLResolver):
            yield from _flat(each.url_patterns)
        else:
            yield each


def _hashing_in_the_pool(view: Callable[..., HttpResponse]) -> Callable[..., Any]:
    """Run the view on the threads of the hashing pool when its form is sent, instead of on those that pages share."""

    @wraps(view)
    async def in_the_pool(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            return await sync_to_async(view)(request, *args, **kwargs)
        try:
            return await hashing_pool.run_view(view, request, *args, **kwargs)
        except Busy as error:
            raise Problem.from_error(error) from error

    return in_the_pool

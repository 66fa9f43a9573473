"""The admin, without a log-in of its own: attempts are limited in one place."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite as DjangoAdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from webapp.http.problems import not_found


class AdminSite(DjangoAdminSite):
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send visitors to the page where everybody logs in. For users who are not staff there is no admin."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise not_found("page")
        wanted = request.GET.get("next") or reverse("admin:index")
        return HttpResponseRedirect(f"{reverse('login')}?{urlencode({'next': wanted})}")

"""All addresses: pages, admin, API, health."""

from django.contrib import admin
from django.urls import include, path

from webapp.config.api import api
from webapp.http.rest.head import with_head

#: The rooms that have pages.
ROOMS = ("gallery", "people", "search", "accounts", "jobs", "generations", "operations")

urlpatterns = [
    *(path("", include(f"webapp.{room}.urls")) for room in ROOMS),
    path("api/v1/", with_head(api.urls)),
    path("admin/", admin.site.urls),
]

"""All addresses: pages, admin, API, health."""

from django.contrib import admin
from django.urls import include, path

from webapp.config.api import api
from webapp.http.errors.handlers import failed, refused

#: The rooms that have pages.
ROOMS = ("gallery", "people", "search", "accounts", "jobs", "generations", "operations")

handler400 = handler403 = handler404 = refused
handler500 = failed

urlpatterns = [
    *(path("", include(f"webapp.{room}.urls")) for room in ROOMS),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
]

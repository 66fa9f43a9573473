"""All addresses: pages, admin, API, health."""

from django.contrib import admin
from django.urls import include, path

from webapp.config.api import api
from webapp.http.rest.reads import with_complete_reads

#: The rooms that have pages.
ROOMS = ("gallery", "people", "search", "accounts", "jobs", "generations", "operations")

urlpatterns = [
    *(path("", include(f"webapp.{room}.urls")) for room in ROOMS),
    path("api/v1/", with_complete_reads(api.urls)),
    path("admin/", admin.site.urls),
]

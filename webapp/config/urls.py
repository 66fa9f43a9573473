"""All addresses: pages, admin, API, health."""

from django.contrib import admin
from django.urls import include, path

from webapp.config.api import api
from webapp.http.errors.handlers import failed, refused
from webapp.http.rest.reads import with_complete_reads

#: The rooms that have pages.
ROOMS = ("gallery", "people", "search", "accounts", "jobs", "generations", "operations")

handler400 = handler403 = handler404 = refused
handler500 = failed

urlpatterns = [
    *(path("", include(f"webapp.{room}.urls")) for room in ROOMS),
    path("api/v1/", with_complete_reads(api.urls)),
    path("admin/", admin.site.urls),
]

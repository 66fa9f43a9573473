"""All addresses: pages, admin, API, health."""

from django.contrib import admin
from django.urls import include, path

from webapp.config.api import api

urlpatterns = [
    path("", include("webapp.gallery.urls")),
    path("", include("webapp.search.urls")),
    path("", include("webapp.accounts.urls")),
    path("", include("webapp.operations.urls")),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
]

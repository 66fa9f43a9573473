"""The staff's view of people."""

from django.contrib import admin

from webapp.http.admin_bases import ReadOnly
from webapp.people.models import Person


@admin.register(Person)
class PersonAdmin(ReadOnly):
    """People are named on the photos' pages."""

    list_display = ["name", "gallery", "created"]
    search_fields = ["id", "name", "gallery__name"]
    list_select_related = ["gallery"]

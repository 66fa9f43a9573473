"""Reads of people. Every one starts from what the caller may see."""

from uuid import UUID

from django.db.models import Count, QuerySet

from webapp.accounts.callers import Caller
from webapp.gallery.access import check_level, visible_galleries
from webapp.gallery.models import Gallery, Level
from webapp.http.problems import not_found
from webapp.people.models import Person


def people_of(gallery: Gallery) -> QuerySet[Person]:
    """Return the gallery's people who have a face, by name, with their number of faces as `face_count`."""
    return gallery.people.annotate(face_count=Count("faces")).filter(face_count__gt=0).order_by("name")


def person_for(caller: Caller, person_id: UUID, at_least: Level = Level.VIEWER) -> Person:
    """Return the person. Raises not_found if the caller sees none with a face, level_too_low: see `gallery_for`."""
    visible = Person.objects.filter(gallery__in=visible_galleries(caller), faces__isnull=False)
    person = visible.filter(id=person_id).select_related("gallery").first()
    if person is None:
        raise not_found("person")
    check_level(caller, person.gallery, at_least)
    return person

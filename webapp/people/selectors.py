"""Reads of people. Every one starts from what the user may see."""

from uuid import UUID

from django.db.models import Count, QuerySet

from webapp.gallery.models import Gallery
from webapp.gallery.selectors import Viewer, visible_galleries
from webapp.http.problems import not_found
from webapp.people.models import Person


def people_of(gallery: Gallery) -> QuerySet[Person]:
    """Return the gallery's people who have a face, by name, with their number of faces as `face_count`."""
    return gallery.people.annotate(face_count=Count("faces")).filter(face_count__gt=0).order_by("name")


def person_for(user: Viewer, person_id: UUID) -> Person:
    """Return the person. Raises not_found if there is none with a face, or it belongs to another user."""
    visible = Person.objects.filter(gallery__in=visible_galleries(user), faces__isnull=False)
    person = visible.filter(id=person_id).first()
    if person is None:
        raise not_found("person")
    return person

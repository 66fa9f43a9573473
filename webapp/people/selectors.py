"""Reads of people. Every one starts at what the user may see."""

from uuid import UUID

from django.db.models import Count, QuerySet

from webapp.gallery.models import Gallery
from webapp.gallery.selectors import Viewer, visible_galleries
from webapp.http.problems import not_found
from webapp.people.models import Person


def people_of(gallery: Gallery) -> QuerySet[Person]:
    """The gallery's people by name, with their number of faces as `face_count`; none without a face."""
    return gallery.people.annotate(face_count=Count("faces")).filter(face_count__gt=0).order_by("name")


def person_for(user: Viewer, person_id: UUID) -> Person:
    """Raises not_found for another user's person, and for one without a face, as for none."""
    visible = Person.objects.filter(gallery__in=visible_galleries(user), faces__isnull=False)
    person = visible.filter(id=person_id).first()
    if person is None:
        raise not_found("person")
    return person

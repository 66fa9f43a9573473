"""Reads of people. Every one starts from what the caller may see."""

from uuid import UUID

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from webapp.accounts.callers import Caller
from webapp.gallery.access import check_level, visible_galleries
from webapp.gallery.models import Face, Gallery, Level
from webapp.http.names import cleaned
from webapp.http.problems import not_found
from webapp.people.models import Person


def people_of(gallery: Gallery, *, name: str = "") -> QuerySet[Person]:
    """Return the gallery's people who have a face, by name, with their number of faces as `face_count`.

    With `name`, only the person of that name. Nothing is counted but the faces of the people that are read.
    """
    faces = Face.objects.filter(person=OuterRef("id")).order_by()
    counted = faces.values("person").annotate(count=Count("id")).values("count")
    people = gallery.people.filter(Exists(faces)).annotate(face_count=Coalesce(Subquery(counted), 0)).order_by("name")
    return people.filter(name=cleaned(name)) if name else people


def person_for(caller: Caller, person_id: UUID, at_least: Level = Level.VIEWER) -> Person:
    """Return the person. Raises not_found if the caller sees none with a face, level_too_low: see `gallery_for`."""
    visible = Person.objects.filter(gallery__in=visible_galleries(caller), faces__isnull=False)
    person = visible.filter(id=person_id).select_related("gallery").first()
    if person is None:
        raise not_found("person")
    check_level(caller, person.gallery, at_least)
    return person

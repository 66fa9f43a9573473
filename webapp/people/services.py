"""Writes to people: which person a face belongs to. A person without faces is deleted, and the name with it."""

from collections.abc import Iterable

from django.db import IntegrityError, transaction

from webapp.gallery.models import Face, Gallery
from webapp.http.names import cleaned_name
from webapp.http.problems import Problem, not_found
from webapp.people.models import Person


def person_name(text: str) -> str:
    """Return the text as a person may be named. Raises Problem (`person_name`)."""
    longest = Person._meta.get_field("name").max_length or 0
    return cleaned_name(text, longest=longest, code="person_name", what="The name of a person")


def face_name(*, face: Face, name: str) -> Person | None:
    """Give the face to the person of that name in its gallery, created if new; "" clears the name.

    Raises Problem for a name that is none (see `person_name`), or if the face is gone.
    """
    name = person_name(name) if name.strip() else ""
    with transaction.atomic(durable=True):
        # Namings in a gallery take turns, so that none deletes the person that another is just giving a face to.
        gallery = Gallery.objects.select_for_update().get(id=face.photo.gallery_id)
        person = Person.objects.get_or_create(gallery=gallery, name=name)[0] if name else None
        if not Face.objects.filter(id=face.id).update(person=person):
            raise not_found("face")
        people_tidy([gallery])
    return person


def person_rename(*, person: Person, name: str) -> None:
    """Give a person another name. Raises Problem if it is none (see `person_name`) or taken in the gallery."""
    name = person_name(name)
    try:
        with transaction.atomic():
            Person.objects.filter(gallery=person.gallery_id, name=name, faces=None).exclude(id=person.id).delete()
            Person.objects.filter(id=person.id).update(name=name)
    except IntegrityError:
        raise Problem("person_exists", f"This gallery already has a person named “{name}”.", status=409) from None
    person.name = name


def people_tidy(galleries: Iterable[Gallery]) -> None:
    """Delete the people of these galleries that have no face, in the caller's transaction."""
    Person.objects.filter(gallery__in=galleries, faces=None).delete()


def faceless_people_delete() -> None:
    """Delete people whose last face is gone: the code that deletes photos knows nothing of people."""
    for gallery in Gallery.objects.filter(people__in=Person.objects.filter(faces=None)).distinct():
        with transaction.atomic(durable=True):
            Gallery.objects.select_for_update().get(id=gallery.id)  # namings take turns here, too
            people_tidy([gallery])

"""Writes to people: which person a face belongs to. A person without faces is deleted, and the name with it.

A `check` is called when nobody else can change the people of the gallery any more; what it raises ends the write.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from uuid import UUID

from django.db import IntegrityError, transaction

from webapp.gallery.models import Face, Gallery
from webapp.http.names import cleaned_name
from webapp.http.problems import Problem, not_found
from webapp.http.rest.conditions import Check, no_check
from webapp.people.models import Person


def person_name(text: str) -> str:
    """Return the text as a person may be named. Raises Problem (`person_name`)."""
    longest = Person._meta.get_field("name").max_length or 0
    return cleaned_name(text, longest=longest, code="person_name", what="The name of a person")


def face_name(*, face: Face, name: str, check: Check = no_check) -> Person | None:
    """Give the face to the person of that name in its gallery, created if new; "" clears the name.

    Raises Problem for a name that is none (see `person_name`), or if the face is gone.
    """
    name = person_name(name) if name.strip() else ""
    with _turn_in_gallery(face.photo.gallery_id) as gallery:
        check()
        person = Person.objects.get_or_create(gallery=gallery, name=name)[0] if name else None
        _give(face, person)
    return person


def faces_name(*, faces: Sequence[Face], name: str) -> int:
    """Give the faces to the people of that name in their galleries, each created if new; return how many were named.

    A face that is gone, or has just been moved to another gallery, is left out. Raises Problem (`person_name`).
    """
    name = person_name(name)
    by_gallery: dict[UUID, list[UUID]] = {}
    for face in faces:
        by_gallery.setdefault(face.photo.gallery_id, []).append(face.id)
    named = 0
    for gallery_id, face_ids in by_gallery.items():
        with suppress(Problem), _turn_in_gallery(gallery_id) as gallery:  # it may be gone, with its faces
            person = Person.objects.get_or_create(gallery=gallery, name=name)[0]
            named += Face.objects.filter(id__in=face_ids, photo__gallery=gallery_id).update(person=person)
            people_tidy([gallery])
    return named


def face_give(*, face: Face, person_id: UUID, check: Check = no_check) -> Person:
    """Give the face to a person of its gallery. Raises not_found if the person or the face is gone."""
    with _turn_in_gallery(face.photo.gallery_id) as gallery:
        check()
        person = Person.objects.filter(gallery=gallery, id=person_id, faces__isnull=False).first()
        if person is None:
            raise not_found("person")
        _give(face, person)
    return person


def _give(face: Face, person: Person | None) -> None:
    """Raises not_found if the face is gone, or in another gallery by now, which has people of its own."""
    if not Face.objects.filter(id=face.id, photo__gallery=face.photo.gallery_id).update(person=person):
        raise not_found("face")
    people_tidy([face.photo.gallery])


def person_rename(*, person: Person, name: str, check: Check = no_check) -> None:
    """Give a person another name. Raises Problem if it is none (see `person_name`) or taken in the gallery."""
    name = person_name(name)
    try:
        with _turn_in_gallery(person.gallery_id):
            check()
            Person.objects.filter(gallery=person.gallery_id, name=name, faces=None).exclude(id=person.id).delete()
            if not Person.objects.filter(id=person.id).update(name=name):
                raise not_found("person")
    except IntegrityError:
        raise Problem("person_exists", f"This gallery already has a person named “{name}”.", status=409) from None
    person.name = name


def person_delete(*, person: Person, check: Check = no_check) -> None:
    """Delete a person; their faces have none any more."""
    with _turn_in_gallery(person.gallery_id):
        check()
        Person.objects.filter(id=person.id).delete()


@contextmanager
def _turn_in_gallery(gallery_id: UUID) -> Iterator[Gallery]:
    """Changes to the people of a gallery take turns: none deletes the person that another is just giving a face to.

    Raises not_found if the gallery is gone.
    """
    with transaction.atomic(durable=True):
        gallery = Gallery.objects.select_for_update().filter(id=gallery_id).first()
        if gallery is None:
            raise not_found("gallery")
        yield gallery


def people_tidy(galleries: Iterable[Gallery]) -> None:
    """Delete the people of these galleries that have no face, in the caller's transaction."""
    Person.objects.filter(gallery__in=galleries, faces=None).delete()


def faceless_people_delete() -> None:
    """Delete people whose last face is gone: the code that deletes photos knows nothing of people."""
    for gallery in Gallery.objects.filter(people__in=Person.objects.filter(faces=None)).distinct():
        with suppress(Problem), _turn_in_gallery(gallery.id):  # it may be gone, with its people
            people_tidy([gallery])

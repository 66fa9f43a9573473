"""Photos and faces as the active generation finds them. Every read starts from what the caller may see."""

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from webapp.accounts.callers import Caller
from webapp.gallery.access import check_level, visible_galleries
from webapp.gallery.models import Face, Gallery, Level, Photo
from webapp.gallery.selectors import photos_for
from webapp.generations.models import Generation
from webapp.generations.selectors import active_generation
from webapp.http.problems import not_found


def photos_of(gallery: Gallery, *, person_id: UUID | None = None) -> QuerySet[Photo]:
    """The gallery's photos, newest first; with `person_id`, those with a face of the person."""
    if person_id is None:
        return gallery.photos.all()
    # The gallery is asked for here only: beside it, SQLite would go through all photos in the order of the list.
    shown = Face.objects.filter(person=person_id, photo__gallery=gallery).order_by()
    return Photo.objects.filter(id__in=shown.values("photo"))


def with_face_counts(photos: Sequence[Photo]) -> Sequence[Photo]:
    """Set on each of the photos, of which one part of a list has not too many, its `face_count`.

    That is the number of its faces in the active generation. Counted here and not by the list's own query, because a
    database that has to sort the list would count the faces of all photos in it.
    """
    found = Face.objects.filter(photo__in=[photo.id for photo in photos], generations=active_generation())
    counts = dict(found.order_by().values_list("photo").annotate(Count("id")))
    for photo in photos:
        photo.face_count = counts.get(photo.id, 0)
    return photos


def faces_of(photo: Photo) -> QuerySet[Face]:
    """The photo's faces that are shown, with `is_found`: see `_shown_faces`."""
    return _shown_faces().filter(photo=photo)


def faces_of_person(person_id: UUID) -> QuerySet[Face]:
    """The faces of a person that are shown, with `is_found`: see `_shown_faces`."""
    return _shown_faces().filter(person=person_id).exclude(photo__state=Photo.State.DELETING)


def face_for(caller: Caller, face_id: UUID, at_least: Level = Level.VIEWER) -> Face:
    """Return the face. Raises not_found if the caller sees no photo with it, level_too_low: see `gallery_for`."""
    face = _shown_faces().filter(id=face_id, photo__in=photos_for(caller)).select_related("photo__gallery").first()
    if face is None:
        raise not_found("face")
    check_level(caller, face.photo.gallery, at_least)
    return face


def crop_of(caller: Caller, face_id: UUID) -> tuple[UUID, str]:
    """Return the face's photo and the digest of its rendition, in one query; empty: it has none. Raises not_found."""
    found = Face.objects.filter(id=face_id, photo__in=photos_for(caller)).values_list("photo_id", "crop").first()
    if found is None:
        raise not_found("face")
    return found


def faces_for(caller: Caller, face_ids: Collection[UUID], at_least: Level = Level.VIEWER) -> list[Face]:
    """Return those of the faces, few enough for one query, on photos of galleries where the caller has this level."""
    photos = Photo.objects.filter(gallery__in=visible_galleries(caller, at_least)).exclude(state=Photo.State.DELETING)
    return list(_shown_faces().filter(id__in=face_ids, photo__in=photos).select_related("photo__gallery"))


def _shown_faces() -> QuerySet[Face]:
    """Return faces with `is_found`: whether the active generation's pack finds them, so that searches do.

    Faces that it does not find are still shown, because they may have a name. Faces found only by generations that were
    never searched are left out.
    """
    memberships = Face.generations.through.objects.filter(face=OuterRef("id"))
    found = Exists(memberships.filter(generation__state=Generation.State.ACTIVE))
    was_found = Exists(memberships.filter(generation__state__in=(Generation.State.ACTIVE, Generation.State.RETIRED)))
    shown = Face.objects.filter(was_found | ~Exists(memberships) | Q(person__isnull=False))
    return shown.annotate(is_found=found).select_related("person")

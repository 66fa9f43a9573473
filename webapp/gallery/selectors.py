"""Reads of galleries, photos and people. Every one starts at what the user may see; anything else is not found."""

from collections.abc import Iterable
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from webapp.gallery.dispatch import chunks
from webapp.gallery.models import Face, Gallery, Person, Photo
from webapp.operations.generation_selectors import active_generation
from webapp.operations.models import Generation
from webapp.problems import not_found

#: How the worker's name of a format reads as a content type. A photo of any other format is not served.
CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # what many phones write: a JPEG with a second picture behind it
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}

#: A query with more values than this is cut in pieces: SQLite takes a limited number of them.
IDS_PER_QUERY = 500

Viewer = AbstractBaseUser | AnonymousUser


def galleries_for(user: Viewer) -> QuerySet[Gallery]:
    """The user's galleries with their number of photos as `photo_count`."""
    kept = Q(photos__isnull=False) & ~Q(photos__state=Photo.State.DELETING)
    return _galleries(user).annotate(photo_count=Count("photos", filter=kept)).order_by("name")


def gallery_for(user: Viewer, gallery_id: UUID | str) -> Gallery:
    """Raises not_found for another user's gallery as for none."""
    gallery = _galleries(user).filter(id=gallery_id).first()
    if gallery is None:
        raise not_found("gallery")
    return gallery


def photos_for(user: Viewer) -> QuerySet[Photo]:
    """The photos that the user may see."""
    return Photo.objects.filter(gallery__in=_galleries(user)).exclude(state=Photo.State.DELETING)


def photo_for(user: Viewer, photo_id: UUID) -> Photo:
    """Raises not_found for another user's photo, as for one that is gone or going."""
    photo = photos_for(user).filter(id=photo_id).select_related("gallery").first()
    if photo is None:
        raise not_found("photo")
    return photo


def photos_of(gallery: Gallery, *, state: str = "") -> QuerySet[Photo]:
    """The gallery's photos, newest first, with their number of faces in the active generation as `face_count`."""
    faces = Face.objects.filter(photo=OuterRef("id"), generations=active_generation()).order_by()
    counted = faces.values("photo").annotate(count=Count("id")).values("count")
    photos = gallery.photos.annotate(face_count=Coalesce(Subquery(counted), 0))
    return photos.filter(state=state) if state else photos


def faces_of(photo: Photo) -> QuerySet[Face]:
    """The photo's faces that are shown, with `is_found`: see `_shown_faces`."""
    return _shown_faces().filter(photo=photo)


def face_for(user: Viewer, face_id: UUID) -> Face:
    """Raises not_found for a face in another user's photo as for none."""
    face = _shown_faces().filter(id=face_id, photo__in=photos_for(user)).select_related("photo").first()
    if face is None:
        raise not_found("face")
    return face


def _shown_faces() -> QuerySet[Face]:
    """Faces with `is_found`: whether the active generation's pack finds them, so that searches do.

    What it does not find is kept and shown, for it may have a name. Left out is what only generations have found that
    were never searched yet.
    """
    memberships = Face.generations.through.objects.filter(face=OuterRef("id"))
    found = Exists(memberships.filter(generation__state=Generation.State.ACTIVE))
    was_found = Exists(memberships.filter(generation__state__in=(Generation.State.ACTIVE, Generation.State.RETIRED)))
    shown = Face.objects.filter(was_found | ~Exists(memberships) | Q(person__isnull=False))
    return shown.annotate(is_found=found).select_related("person")


def people_of(gallery: Gallery) -> QuerySet[Person]:
    """The gallery's people by name, with their number of faces as `face_count`."""
    return gallery.people.annotate(face_count=Count("faces")).order_by("name")


def person_for(user: Viewer, person_id: UUID) -> Person:
    """Raises not_found for another user's person as for none."""
    person = Person.objects.filter(id=person_id, gallery__in=_galleries(user)).first()
    if person is None:
        raise not_found("person")
    return person


def progress_of(gallery: Gallery) -> dict[str, int]:
    """How many photos are in each state; every state is named."""
    counts = gallery.photos.order_by().values_list("state").annotate(Count("id"))
    return {str(state): 0 for state in Photo.State} | dict(counts)


def is_settled(progress: dict[str, int]) -> bool:
    """Whether nothing changes any more without somebody acting."""
    return progress[Photo.State.PENDING] == 0 and progress[Photo.State.DELETING] == 0


def content_type_of(photo: Photo) -> str | None:
    """The content type to serve the photo with, None when no worker has recognised it as a picture."""
    return CONTENT_TYPES.get(photo.image_format.upper())


def photos_by_id(gallery: Gallery, photo_ids: Iterable[str]) -> dict[str, Photo]:
    """Those of the photos that the gallery has and that nobody has deleted."""
    found: dict[str, Photo] = {}
    for ids in chunks(photo_ids, IDS_PER_QUERY):
        rows = gallery.photos.filter(id__in=ids).exclude(state=Photo.State.DELETING)
        found |= {str(photo.id): photo for photo in rows}
    return found


def faces_by_id(face_ids: Iterable[str]) -> dict[str, Face]:
    """Those of the faces that have a row, with their people. Ask with ids that the user may see."""
    found: dict[str, Face] = {}
    for ids in chunks(face_ids, IDS_PER_QUERY):
        found |= {str(face.id): face for face in Face.objects.filter(id__in=ids).select_related("person")}
    return found


def _galleries(user: Viewer) -> QuerySet[Gallery]:
    if not user.is_authenticated:
        return Gallery.objects.none()
    return Gallery.objects.filter(owner_id=user.pk, deleting=False)

"""Reads of galleries, photos and people. Every one starts at what the user may see; anything else is not found."""

from collections.abc import Collection, Iterable
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, Q, QuerySet

from webapp.gallery.chunks import chunks
from webapp.gallery.models import Face, Gallery, Photo
from webapp.http.problems import not_found

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
    return visible_galleries(user).annotate(photo_count=Count("photos", filter=kept)).order_by("name")


def gallery_for(user: Viewer, gallery_id: UUID | str) -> Gallery:
    """Raises not_found for another user's gallery as for none."""
    gallery = visible_galleries(user).filter(id=gallery_id).first()
    if gallery is None:
        raise not_found("gallery")
    return gallery


def galleries_given(user: Viewer, gallery_ids: Collection[UUID | str] | None) -> list[Gallery]:
    """Return these galleries, or with None all that the user may see. Raises not_found as `gallery_for` does."""
    visible = visible_galleries(user)
    if gallery_ids is None:
        return list(visible)
    try:
        wanted = {UUID(str(gallery_id)) for gallery_id in gallery_ids}
    except ValueError:
        raise not_found("gallery") from None
    found = [gallery for ids in chunks(wanted, IDS_PER_QUERY) for gallery in visible.filter(id__in=ids)]
    if len(found) < len(wanted):
        raise not_found("gallery")
    return found


def photos_for(user: Viewer) -> QuerySet[Photo]:
    """The photos that the user may see."""
    return Photo.objects.filter(gallery__in=visible_galleries(user)).exclude(state=Photo.State.DELETING)


def photo_for(user: Viewer, photo_id: UUID) -> Photo:
    """Raises not_found for another user's photo, as for one that is gone or going."""
    photo = photos_for(user).filter(id=photo_id).select_related("gallery").first()
    if photo is None:
        raise not_found("photo")
    return photo


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


def photos_by_id(galleries: Iterable[Gallery], photo_ids: Iterable[str]) -> dict[str, Photo]:
    """Return those of the photos that are in one of the galleries and that nobody has deleted."""
    gallery_ids = {gallery.id for gallery in galleries}
    found: dict[str, Photo] = {}
    for ids in chunks(photo_ids, IDS_PER_QUERY):
        rows = Photo.objects.filter(id__in=ids).exclude(state=Photo.State.DELETING)
        found |= {str(photo.id): photo for photo in rows if photo.gallery_id in gallery_ids}
    return found


def faces_by_id(face_ids: Iterable[str]) -> dict[str, Face]:
    """Those of the faces that have a row, with their people. Ask with ids that the user may see."""
    found: dict[str, Face] = {}
    for ids in chunks(face_ids, IDS_PER_QUERY):
        found |= {str(face.id): face for face in Face.objects.filter(id__in=ids).select_related("person")}
    return found


def visible_galleries(user: Viewer) -> QuerySet[Gallery]:
    """The galleries that the user may see; every other read starts here."""
    if not user.is_authenticated:
        return Gallery.objects.none()
    return Gallery.objects.filter(owner_id=user.pk, deleting=False)

"""Reads of galleries, photos and faces. Each starts from what the caller may see; anything else is not found."""

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Left
from django.db.models.lookups import Exact

from webapp.accounts.callers import Caller
from webapp.gallery.access import check_level, may_download, visible_galleries
from webapp.gallery.chunks import chunks
from webapp.gallery.models import UNSETTLED, Face, Gallery, Level, Photo
from webapp.http.names import cleaned
from webapp.http.problems import not_found

#: The content type of each format that a worker reports.
CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # written by many phones: a JPEG followed by a second picture
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
}
#: Of files that no worker could decode: a browser saves them, and does not look into them.
UNKNOWN_CONTENT_TYPE = "application/octet-stream"

#: The most values in one query: SQLite limits their number.
IDS_PER_QUERY = 500
#: The most folders that a page offers.
FOLDERS_SHOWN = 1000


def galleries_for(caller: Caller) -> QuerySet[Gallery]:
    """Return the galleries that the caller sees, with their owners, and their number of photos as `photo_count`."""
    kept = Q(photos__isnull=False) & ~Q(photos__state=Photo.State.DELETING)
    galleries = visible_galleries(caller).annotate(photo_count=Count("photos", filter=kept))
    return galleries.select_related("owner").order_by("name", "id")


def galleries_named(caller: Caller, name: str = "") -> QuerySet[Gallery]:
    """Return the galleries that the caller may see; with `name`, those of that name."""
    visible = visible_galleries(caller).select_related("owner")
    return visible.filter(name=cleaned(name)) if name else visible


def gallery_for(caller: Caller, gallery_id: UUID | str, at_least: Level = Level.VIEWER) -> Gallery:
    """Return the gallery. Raises not_found if the caller sees none such, level_too_low if they may do less."""
    gallery = visible_galleries(caller).filter(id=gallery_id).select_related("owner").first()
    if gallery is None:
        raise not_found("gallery")
    check_level(caller, gallery, at_least)
    return gallery


def galleries_given(caller: Caller, gallery_ids: Collection[UUID | str] | None) -> list[Gallery]:
    """Return these galleries, or with None all that the caller may see. Raises not_found as `gallery_for` does."""
    visible = visible_galleries(caller)
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


def targets_for(caller: Caller, gallery: Gallery) -> QuerySet[Gallery]:
    """Return the galleries, with their owners, that the caller may move photos of this one to: see `check_take`."""
    found = visible_galleries(caller, Level.EDITOR).exclude(id=gallery.id).select_related("owner")
    return found if may_download(caller, gallery) else found.filter(owner=gallery.owner_id)


def photos_for(caller: Caller) -> QuerySet[Photo]:
    """Return the photos that the caller may see."""
    return Photo.objects.filter(gallery__in=visible_galleries(caller)).exclude(state=Photo.State.DELETING)


def photo_for(caller: Caller, photo_id: UUID, at_least: Level = Level.VIEWER) -> Photo:
    """Return the photo. Raises not_found, also while it is being deleted, and level_too_low: see `gallery_for`."""
    photo = photos_for(caller).filter(id=photo_id).select_related("gallery__owner").first()
    if photo is None:
        raise not_found("photo")
    check_level(caller, photo.gallery, at_least)
    return photo


def renditions_of(caller: Caller, photo_id: UUID) -> str:
    """Return the digest of the photo's thumbnail and preview, in one query; empty: it has none. Raises not_found."""
    digest = photos_for(caller).filter(id=photo_id).values_list("renditions", flat=True).first()
    if digest is None:
        raise not_found("photo")
    return digest


def photos_filtered(
    photos: QuerySet[Photo],
    *,
    state: Photo.State | None = None,
    filename: str = "",
    folder: str = "",
    created_from: datetime | None = None,
    created_before: datetime | None = None,
    taken_from: date | None = None,
    taken_before: date | None = None,
) -> QuerySet[Photo]:
    """Return those of the photos in the state, with this in their file name, in the folder, and of these times.

    Photos that are being deleted are left out, unless that is the state. A folder has those in it, too. The days on
    which photos were taken are those of the camera's clock; a photo that does not say when it was taken has none.
    """
    photos = photos.exclude(state=Photo.State.DELETING) if state is None else photos.filter(state=state)
    if filename:
        photos = photos.filter(filename__icontains=filename)
    if created_from is not None:
        photos = photos.filter(created__gte=created_from)
    if created_before is not None:
        photos = photos.filter(created__lt=created_before)
    if folder:
        photos = photos.filter(Q(folder=folder) | Q(_begins_with("folder", f"{folder}/")))
    if taken_from is not None or taken_before is not None:
        photos = photos.filter(taken_at__isnull=False)
    # By the date that is indexed: it is the same for photos that have one.
    if taken_from is not None:
        photos = photos.filter(dated_at__gte=_midnight(taken_from))
    if taken_before is not None:
        photos = photos.filter(dated_at__lt=_midnight(taken_before))
    return photos


def _begins_with(field: str, text: str) -> Exact:
    """Return the condition that a field begins with the text: A and a differ, unlike in SQLite's `startswith`."""
    return Exact(Left(field, len(text)), text)


def _midnight(day: date) -> datetime:
    """Return when a day begins by cameras' clocks, which are kept as if they showed UTC."""
    return datetime.combine(day, time.min, tzinfo=UTC)


def folders_of(gallery: Gallery) -> list[str]:
    """Return the folders of the gallery's photos, with those that they are in, by name; at most FOLDERS_SHOWN."""
    named = gallery.photos.exclude(folder="").order_by("folder").values_list("folder", flat=True).distinct()
    found: set[str] = set()
    for folder in named[:FOLDERS_SHOWN]:
        names = folder.split("/")
        found |= {"/".join(names[:depth]) for depth in range(1, len(names) + 1)}
    return sorted(found)[:FOLDERS_SHOWN]


def progress_of(gallery: Gallery) -> dict[str, int]:
    """Count the photos in each state, including states without photos."""
    counts = gallery.photos.order_by().values_list("state").annotate(Count("id"))
    return {str(state): 0 for state in Photo.State} | dict(counts)


def is_settled(progress: dict[str, int]) -> bool:
    """Return whether every photo stays as it is until someone acts."""
    return not any(progress[state] for state in UNSETTLED)


def content_type_of(photo: Photo) -> str:
    """Return the content type to serve the photo's file with."""
    return CONTENT_TYPES.get(photo.image_format.upper(), UNKNOWN_CONTENT_TYPE)


def photos_by_id(galleries: Iterable[Gallery], photo_ids: Iterable[str]) -> dict[str, Photo]:
    """Return those of the photos that are in one of the galleries to stay, by id.

    None is being deleted, and none has just been moved there: what a search finds of it is where it was.
    """
    known = {gallery.id: gallery for gallery in galleries}
    found: dict[str, Photo] = {}
    for ids in chunks(photo_ids, IDS_PER_QUERY):
        rows = Photo.objects.filter(id__in=ids).exclude(state__in=(Photo.State.DELETING, Photo.State.MOVING))
        found |= {str(photo.id): photo for photo in rows if photo.gallery_id in known}
    for photo in found.values():
        photo.gallery = known[photo.gallery_id]  # known already: no query for each
    return found


def faces_by_id(face_ids: Iterable[str]) -> dict[str, Face]:
    """Return those of the faces that exist, with their people, by id. Pass only ids that the caller may see."""
    found: dict[str, Face] = {}
    for ids in chunks(face_ids, IDS_PER_QUERY):
        found |= {str(face.id): face for face in Face.objects.filter(id__in=ids).select_related("person")}
    return found

"""Schemas of galleries, photos and faces."""

from datetime import datetime
from uuid import UUID

from django.urls import reverse
from ninja import Schema

from webapp.gallery.models import Face, Gallery, Level, Photo
from webapp.http.schemas import BoxOut

#: The namespace of the API's addresses.
_API = "api-1"


class GalleryOut(Schema):
    """A gallery. `owner` is a user name; `level` is yours: viewer, editor or owner."""

    id: UUID
    name: str
    owner: str
    level: str
    #: Whether members may download the files of photos.
    may_download: bool
    created: datetime


def gallery_out(gallery: Gallery, level: Level) -> GalleryOut:
    return GalleryOut(
        id=gallery.id,
        name=gallery.name,
        owner=gallery.owner.get_username(),
        level=level.label,
        may_download=gallery.may_download,
        created=gallery.created,
    )


class WarningOut(Schema):
    """A stable code and a sentence."""

    code: str
    message: str


class PhotoOut(Schema):
    id: UUID
    gallery_id: UUID
    filename: str
    state: str
    #: Why it is not indexed; empty if it is.
    code: str
    message: str
    #: Pixels of the upright picture; none until a worker has decoded it.
    width: int | None
    height: int | None
    image_format: str
    byte_size: int
    face_count: int
    created: datetime
    #: The folder that it was in, with "/" between names; empty: none.
    folder: str
    #: What the camera's clock showed (ISO 8601 without a time zone), and how far it is ahead of UTC; null as far
    #: as the file does not say.
    taken_at: str | None
    taken_utc_offset_minutes: int | None
    camera: str
    #: What is wrong with a picture that could be decoded even so.
    warning: WarningOut | None
    #: Addresses of pictures to look at; null: there are none.
    thumbnail: str | None
    preview: str | None

    @staticmethod
    def resolve_taken_at(photo: Photo) -> str | None:
        return photo.taken_at.replace(tzinfo=None).isoformat() if photo.taken_at else None

    @staticmethod
    def resolve_warning(photo: Photo) -> WarningOut | None:
        return WarningOut(code=photo.warning_code, message=photo.warning) if photo.warning_code else None

    @staticmethod
    def resolve_thumbnail(photo: Photo) -> str | None:
        return _address("photo_thumbnail", photo.id, photo.renditions)

    @staticmethod
    def resolve_preview(photo: Photo) -> str | None:
        return _address("photo_preview", photo.id, photo.renditions)


class PhotosOut(Schema):
    items: list[PhotoOut]
    next_cursor: str | None


class PhotoStateOut(Schema):
    """The state that a photo has been put into: `pending`, `deleting` or `moving`."""

    photo_id: UUID
    state: str
    #: The job to follow; null when there is none, as when one photo is deleted.
    job_id: UUID | None
    #: Not empty when the queue is down: the work is saved, and continues once the queue is back.
    warning: str


class FaceOut(Schema):
    """A face of a photo. `person` is a name, none while the face has none."""

    id: UUID
    photo_id: UUID
    box: BoxOut
    score: float
    quality: float
    #: False: the model that is used now does not find this face, so no search does; it was kept with its name.
    is_found: bool
    person: str | None
    person_id: UUID | None
    #: The address of a picture of it; null: there is none.
    crop: str | None

    @staticmethod
    def resolve_crop(face: Face) -> str | None:
        return _address("face_crop", face.id, face.crop)

    @staticmethod
    def resolve_box(face: Face) -> Face:
        return face

    @staticmethod
    def resolve_person(face: Face) -> str | None:
        return face.person.name if face.person else None


class FacesOut(Schema):
    items: list[FaceOut]
    next_cursor: str | None


def _address(name: str, of: UUID, digest: str) -> str | None:
    """Return the address of a rendition in the API, see api/renditions.py."""
    return reverse(f"{_API}:{name}", args=[of, digest]) if digest else None

"""Schemas of photos and faces."""

from uuid import UUID

from ninja import Schema

from webapp.gallery.models import Face
from webapp.http.schemas import BoxOut


class FaceOut(Schema):
    """A face of a photo. `person` is a name, none while the face has none."""

    id: UUID
    box: BoxOut
    score: float
    quality: float
    #: False: the model that is used now does not find this face, so no search does; it was kept with its name.
    is_found: bool
    person: str | None
    person_id: UUID | None

    @staticmethod
    def resolve_box(face: Face) -> Face:
        return face

    @staticmethod
    def resolve_person(face: Face) -> str | None:
        return face.person.name if face.person else None

"""The API of people: who they are, and which faces are theirs."""

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status
from pydantic import ConfigDict, model_validator
from pydantic.json_schema import SkipJsonSchema

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.gallery.models import Face, Level
from webapp.gallery.schemas import FaceOut, FacesOut, PhotosOut
from webapp.gallery.selectors import gallery_for, photos_filtered
from webapp.generations import faces
from webapp.http.problems import not_found
from webapp.http.rest.conditions import unchanged
from webapp.http.rest.cursors import Cursor, Limit, part_of
from webapp.http.schemas import Id, JsonIn, ProblemOut
from webapp.people import selectors, services
from webapp.people.models import Person

router = Router(auth=Needs(Scope.READ), tags=["people"])
writing = Needs(Scope.WRITE)

Name = Annotated[
    Annotated[str, Field(max_length=1000)],
    Query("", description="Only the person of this name; by default, all."),
]


class PersonOut(Schema):
    id: UUID
    gallery_id: UUID
    name: str
    face_count: int


class PeopleOut(Schema):
    items: list[PersonOut]
    next_cursor: str | None


class PersonNameIn(JsonIn):
    name: str


class FacePersonIn(JsonIn):
    """The person by `name`, who is created if the gallery has none such, or by `person_id`. An empty name clears it."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    name: str | SkipJsonSchema[None] = None
    person_id: Id | SkipJsonSchema[None] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "FacePersonIn":
        if (self.name is None) == (self.person_id is None):
            raise ValueError("give either name or person_id")
        return self


@router.get("/galleries/{uuid:gallery_id}/people", response={200: PeopleOut, (403, 404, 422): ProblemOut})
def list_people(
    request: HttpRequest, gallery_id: UUID, name: Name = "", cursor: Cursor = "", limit: Limit = 100
) -> dict[str, Any]:
    """List the gallery's people by name."""
    found = selectors.people_of(gallery_for(caller_of(request), gallery_id), name=name)
    people, following = part_of(found, order=("name", "id"), cursor=cursor, limit=limit)
    return {"items": people, "next_cursor": following}


@router.get("/people/{uuid:person_id}", response={200: PersonOut, (403, 404): ProblemOut})
def show_person(request: HttpRequest, person_id: UUID) -> Person:
    """Show a person."""
    return _shown(selectors.person_for(caller_of(request), person_id))


@router.patch(
    "/people/{uuid:person_id}", response={200: PersonOut, (400, 403, 404, 409, 412): ProblemOut}, auth=writing
)
def rename_person(request: HttpRequest, person_id: UUID, data: PersonNameIn) -> Person:
    """Give a person another name."""
    person = selectors.person_for(caller_of(request), person_id, Level.EDITOR)
    services.person_rename(person=person, name=data.name, check=unchanged(request))
    return _shown(person)


@router.delete("/people/{uuid:person_id}", response={204: None, (403, 404, 412): ProblemOut}, auth=writing)
def delete_person(request: HttpRequest, person_id: UUID) -> Status[None]:
    """Delete a person: their faces stay, and have no person any more."""
    person = selectors.person_for(caller_of(request), person_id, Level.EDITOR)
    services.person_delete(person=person, check=unchanged(request))
    return Status(204, None)


@router.get("/people/{uuid:person_id}/faces", response={200: FacesOut, (403, 404, 422): ProblemOut})
def list_person_faces(request: HttpRequest, person_id: UUID, cursor: Cursor = "", limit: Limit = 100) -> dict[str, Any]:
    """List the faces of a person."""
    person = selectors.person_for(caller_of(request), person_id)
    shown, following = part_of(faces.faces_of_person(person.id), order=("id",), cursor=cursor, limit=limit)
    return {"items": shown, "next_cursor": following}


@router.get("/people/{uuid:person_id}/photos", response={200: PhotosOut, (403, 404, 422): ProblemOut})
def list_person_photos(
    request: HttpRequest, person_id: UUID, cursor: Cursor = "", limit: Limit = 100
) -> dict[str, Any]:
    """List the photos with a face of a person, newest first."""
    person = selectors.person_for(caller_of(request), person_id)
    found = photos_filtered(faces.photos_of(person.gallery, person_id=person.id))
    photos, following = part_of(found, order=("-created", "-id"), cursor=cursor, limit=limit)
    return {"items": faces.with_face_counts(photos), "next_cursor": following}


@router.get("/faces/{uuid:face_id}/person", response={200: PersonOut, (403, 404): ProblemOut})
def show_face_person(request: HttpRequest, face_id: UUID) -> Person:
    """Show whose face it is; `not_found` while nobody has said so."""
    face = faces.face_for(caller_of(request), face_id)
    if face.person is None:
        raise not_found("person")
    return _shown(face.person)


@router.put("/faces/{uuid:face_id}/person", response={200: FaceOut, (400, 403, 404, 412): ProblemOut}, auth=writing)
def name_face(request: HttpRequest, face_id: UUID, data: FacePersonIn) -> Face:
    """Say whose face it is. With `If-None-Match: *`, only if nobody has said so yet."""
    face = faces.face_for(caller_of(request), face_id, Level.EDITOR)
    if data.person_id is not None:
        face.person = services.face_give(face=face, person_id=data.person_id, check=unchanged(request))
    else:
        face.person = services.face_name(face=face, name=data.name or "", check=unchanged(request))
    return face


@router.delete("/faces/{uuid:face_id}/person", response={204: None, (403, 404, 412): ProblemOut}, auth=writing)
def clear_face(request: HttpRequest, face_id: UUID) -> Status[None]:
    """Take the face from its person; one without other faces is deleted."""
    face = faces.face_for(caller_of(request), face_id, Level.EDITOR)
    services.face_name(face=face, name="", check=unchanged(request))
    return Status(204, None)


def _shown(person: Person) -> Person:
    return selectors.people_of(person.gallery).get(id=person.id)

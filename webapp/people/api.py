"""The API of people."""

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.gallery.models import Face, Level
from webapp.gallery.schemas import FaceOut
from webapp.gallery.selectors import gallery_for
from webapp.generations import faces
from webapp.http.schemas import ProblemOut
from webapp.people import selectors, services
from webapp.people.models import Person

router = Router(auth=Needs(Scope.READ), tags=["people"])
writing = Needs(Scope.WRITE)


class PersonOut(Schema):
    id: UUID
    name: str
    face_count: int


class NameIn(Schema):
    """For a face, an empty name clears its name."""

    name: str


@router.get("/galleries/{uuid:gallery_id}/people", response={200: list[PersonOut], 404: ProblemOut})
def list_people(request: HttpRequest, gallery_id: UUID) -> list[Person]:
    """List the gallery's people by name."""
    return list(selectors.people_of(gallery_for(caller_of(request), gallery_id)))


@router.patch("/people/{uuid:person_id}", response={200: PersonOut, (400, 403, 404, 409): ProblemOut}, auth=writing)
def rename_person(request: HttpRequest, person_id: UUID, data: NameIn) -> Person:
    """Give a person another name."""
    person = selectors.person_for(caller_of(request), person_id, Level.EDITOR)
    services.person_rename(person=person, name=data.name)
    return selectors.people_of(person.gallery).get(id=person_id)


@router.put("/faces/{uuid:face_id}/person", response={200: FaceOut, (400, 403, 404): ProblemOut}, auth=writing)
def name_face(request: HttpRequest, face_id: UUID, data: NameIn) -> Face:
    """Name the person whose face it is; an empty name clears it."""
    face = faces.face_for(caller_of(request), face_id, Level.EDITOR)
    face.person = services.face_name(face=face, name=data.name)
    return face

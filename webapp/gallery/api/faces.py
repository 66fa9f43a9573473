"""The API of faces. Whose they are: webapp/people/api.py."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.gallery import selectors
from webapp.gallery.models import Face
from webapp.gallery.schemas import FaceOut, FacesOut
from webapp.generations import faces
from webapp.http.rest.cursors import Cursor, Limit, part_of
from webapp.http.schemas import ProblemOut

router = Router(auth=Needs(Scope.READ), tags=["faces"])


@router.get("/photos/{uuid:photo_id}/faces", response={200: FacesOut, (403, 404, 422): ProblemOut})
def list_photo_faces(request: HttpRequest, photo_id: UUID, cursor: Cursor = "", limit: Limit = 100) -> dict[str, Any]:
    """List a photo's faces from left to right."""
    found = faces.faces_of(selectors.photo_for(caller_of(request), photo_id))
    shown, following = part_of(found, order=("left", "id"), cursor=cursor, limit=limit)
    return {"items": shown, "next_cursor": following}


@router.get("/faces/{uuid:face_id}", response={200: FaceOut, (403, 404): ProblemOut})
def show_face(request: HttpRequest, face_id: UUID) -> Face:
    """Show a face."""
    return faces.face_for(caller_of(request), face_id)

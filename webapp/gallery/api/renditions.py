"""Renditions in the API: pictures to look at, upright, sRGB, JPEG, and without metadata.

Their addresses are in photos and faces. A rendition never changes under its address; once another one is made, the old
address leads to it.
"""

from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.gallery import selectors
from webapp.gallery.files import rendition_answer
from webapp.generations import faces
from webapp.http.schemas import ProblemOut

router = Router(auth=Needs(Scope.READ), tags=["renditions"])

_JPEG: Final = {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
#: How the operations below answer.
_ANSWERS: Final[dict[str, Any]] = {
    "response": {(200, 206, 302): None, (403, 404, 412, 416): ProblemOut},
    "openapi_extra": {
        "responses": {
            200: _JPEG,
            206: _JPEG,
            302: {"description": "It was made again: the `Location` is that of the rendition that there is."},
        }
    },
}


@router.get("/photos/{uuid:photo_id}/thumbnail/{digest}.jpg", url_name="photo_thumbnail", **_ANSWERS)
def get_photo_thumbnail(request: HttpRequest, photo_id: UUID, digest: str) -> HttpResponseBase:
    """Get the photo, at most 320 pixels on its longer side."""
    current = selectors.renditions_of(caller_of(request), photo_id)
    return rendition_answer(request, photo_id, "thumbnail", current, asked=digest)


@router.get("/photos/{uuid:photo_id}/preview/{digest}.jpg", url_name="photo_preview", **_ANSWERS)
def get_photo_preview(request: HttpRequest, photo_id: UUID, digest: str) -> HttpResponseBase:
    """Get the photo, at most 2048 pixels on its longer side."""
    current = selectors.renditions_of(caller_of(request), photo_id)
    return rendition_answer(request, photo_id, "preview", current, asked=digest)


@router.get("/faces/{uuid:face_id}/crop/{digest}.jpg", url_name="face_crop", **_ANSWERS)
def get_face_crop(request: HttpRequest, face_id: UUID, digest: str) -> HttpResponseBase:
    """Get the face with what is around it, at most 256 pixels on a side."""
    photo_id, current = faces.crop_of(caller_of(request), face_id)
    return rendition_answer(request, photo_id, "face", current, asked=digest)

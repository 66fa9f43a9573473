"""Pictures of photos and faces, for the pages: renditions only. Their addresses change when they do."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from webapp.accounts.callers import caller_of
from webapp.gallery import selectors
from webapp.gallery.files import rendition_answer
from webapp.generations import faces
from webapp.http.problems import not_found


@login_required
@require_safe
def photo_thumbnail(request: HttpRequest, photo_id: UUID, digest: str) -> HttpResponseBase:
    photo = selectors.photo_for(caller_of(request), photo_id)
    return rendition_answer(request, photo, "thumbnail", _current(photo.renditions, digest))


@login_required
@require_safe
def photo_preview(request: HttpRequest, photo_id: UUID, digest: str) -> HttpResponseBase:
    photo = selectors.photo_for(caller_of(request), photo_id)
    return rendition_answer(request, photo, "preview", _current(photo.renditions, digest))


@login_required
@require_safe
def face_crop(request: HttpRequest, face_id: UUID, digest: str) -> HttpResponseBase:
    face = faces.face_for(caller_of(request), face_id)
    return rendition_answer(request, face.photo, "face", _current(face.crop, digest))


def _current(digest: str, asked: str) -> str:
    """Return the digest. Raises not_found if another one is asked for."""
    if digest != asked:
        raise not_found("picture")
    return digest

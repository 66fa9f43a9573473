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


@login_required
@require_safe
def photo_thumbnail(request: HttpRequest, photo_id: UUID, digest: str) -> HttpResponseBase:
    current = selectors.renditions_of(caller_of(request), photo_id)
    return rendition_answer(request, photo_id, "thumbnail", current, asked=digest)


@login_required
@require_safe
def photo_preview(request: HttpRequest, photo_id: UUID, digest: str) -> HttpResponseBase:
    current = selectors.renditions_of(caller_of(request), photo_id)
    return rendition_answer(request, photo_id, "preview", current, asked=digest)


@login_required
@require_safe
def face_crop(request: HttpRequest, face_id: UUID, digest: str) -> HttpResponseBase:
    photo_id, current = faces.crop_of(caller_of(request), face_id)
    return rendition_answer(request, photo_id, "face", current, asked=digest)

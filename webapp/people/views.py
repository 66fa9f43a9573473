"""The pages of people."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from webapp.accounts.callers import caller_of
from webapp.gallery.models import Face, Level
from webapp.generations import faces
from webapp.http.problems import Problem
from webapp.people import services


@login_required
@require_POST
def face_name(request: HttpRequest, face_id: UUID) -> HttpResponse:
    face = faces.face_for(caller_of(request), face_id, Level.EDITOR)
    try:
        services.face_name(face=face, name=request.POST.get("name", ""))
    except Problem as problem:
        messages.error(request, problem.message)
        return redirect(_photo_address(request, face))
    # Back to the face: on a phone it is a long way down.
    return redirect(f"{_photo_address(request, face)}#face-{face.id}")


def _photo_address(request: HttpRequest, face: Face) -> str:
    """Return the address of the page on which the face was named: its query says which list it was opened from."""
    query = QueryDict(request.POST.get("query", "")).urlencode()
    return reverse("photo_detail", args=[face.photo_id]) + (f"?{query}" if query else "")

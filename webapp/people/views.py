"""The pages of people."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from webapp.accounts.callers import caller_of
from webapp.gallery.models import Level
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
        return redirect("photo_detail", face.photo_id)
    # Back to the face: on a phone it is a long way down.
    return redirect(f"{reverse('photo_detail', args=[face.photo_id])}#face-{face.id}")

"""Uploads by the plain form, for browsers without JavaScript. With it, webapp/static/js/upload.js uses the API."""

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from webapp.accounts.callers import caller_of
from webapp.gallery import selectors
from webapp.gallery.models import Level
from webapp.http.pages import photos_text, warn
from webapp.indexing import adding


@login_required
@require_POST
def photos_upload(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Add the photos. If there is more to say than their number, a page says it, which stays until it is left.

    The gallery's page renews itself while photos are pending: what it says once would be gone in seconds.
    """
    gallery = selectors.gallery_for(caller_of(request), gallery_id, Level.EDITOR)
    files = request.FILES.getlist("photos")
    if not files:
        messages.error(request, "Please choose at least one photo.")
        return redirect("gallery_detail", gallery.id)
    user_id = cast(int, caller_of(request).user.pk)
    outcome = adding.photos_add(gallery=gallery, files=files, requested_by_id=user_id)
    if outcome.already_there or outcome.refused:
        return render(request, "gallery/upload_summary.html", {"gallery": gallery, "outcome": outcome})
    messages.success(request, f"{photos_text(len(outcome.added))} added.")
    warn(request, outcome.warning)
    return redirect("gallery_detail", gallery.id)

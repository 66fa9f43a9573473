"""The page on which photos are chosen, and what is done to them: they are moved or deleted together.

It shows what the gallery's page shows, but stays as it is: a page that renews itself would lose what is chosen.
"""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.callers import caller_of
from webapp.gallery.access import check_take
from webapp.gallery.models import Gallery, Level, Photo
from webapp.gallery.selectors import gallery_for, photo_for, targets_for
from webapp.generations import faces
from webapp.http.pages import GRID_SIZE, photos_text, tell_refused, warn
from webapp.indexing import deleting
from webapp.indexing.moving import PhotosMoved
from webapp.people.moving import photos_move


@login_required
@require_safe
def photos_select(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    caller = caller_of(request)
    gallery = gallery_for(caller, gallery_id, Level.EDITOR)
    state = request.GET.get("state", "")
    photos = faces.photos_of(gallery, state=state if state in Photo.State else "").exclude(state=Photo.State.DELETING)
    context = {
        "gallery": gallery,
        "page": Paginator(photos, GRID_SIZE).get_page(request.GET.get("page")),
        "state": state if state in Photo.State else "",
        "targets": targets_for(caller, gallery),
    }
    return render(request, "gallery/photos_select.html", context)


@login_required
@require_POST
def selected_delete(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    caller = caller_of(request)
    gallery = gallery_for(caller, gallery_id, Level.EDITOR)
    photo_ids = _chosen(request)
    if not photo_ids:
        messages.error(request, "Please choose at least one photo.")
        return redirect("photos_select", gallery.id)
    deleted = deleting.photos_delete(gallery=gallery, photo_ids=photo_ids, requested_by_id=caller.user.pk)
    messages.success(request, f"{photos_text(len(deleted.photo_ids))} marked for deletion.")
    warn(request, deleted.warning)
    return redirect("gallery_detail", gallery.id)


@login_required
@require_POST
def selected_move(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    gallery = gallery_for(caller_of(request), gallery_id, Level.EDITOR)
    return _move(request, gallery, _chosen(request))


@login_required
@require_POST
def photo_move(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    photo = photo_for(caller_of(request), photo_id, Level.EDITOR)
    return _move(request, photo.gallery, [photo_id])


def _move(request: HttpRequest, source: Gallery, photo_ids: list[UUID]) -> HttpResponse:
    caller = caller_of(request)
    target = gallery_for(caller, _id(request.POST.get("target", "")) or source.id, Level.EDITOR)
    if not photo_ids or target.id == source.id:
        messages.error(request, "Please choose what to move, and the gallery to move to.")
        return redirect("photos_select", source.id)
    check_take(caller, source, target)
    moved = photos_move(source=source, target=target, photo_ids=photo_ids, requested_by_id=caller.user.pk)
    _tell(request, moved, source, target)
    return redirect("gallery_detail", target.id if moved.job else source.id)


def _tell(request: HttpRequest, moved: PhotosMoved, source: Gallery, target: Gallery) -> None:
    if moved.job is not None:
        messages.success(request, f"{photos_text(moved.job.total)} moved to “{target.name}”.")
    refused = [photo for photo in moved.photos if photo.result == "refused"]
    names = dict(source.photos.filter(id__in=[photo.photo_id for photo in refused]).values_list("id", "filename"))
    sentences = [f"{names.get(photo.photo_id, 'A photo')} was not moved: {photo.message}" for photo in refused]
    tell_refused(request, sentences, more="photos were not moved")
    warn(request, moved.warning)


def _chosen(request: HttpRequest) -> list[UUID]:
    """Return the ids of the chosen photos. A page of the grid has no more of them."""
    found = (_id(text) for text in request.POST.getlist("photo")[:GRID_SIZE])
    return [each for each in found if each is not None]


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

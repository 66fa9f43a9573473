"""What is done to several photos of a gallery at once: they are deleted, moved or sent again.

The chosen photos are those that are ticked, or all of the list that the page shows: also those that it has not loaded.
A form says "all" together with the time at which its page was made, so that nobody deletes what they have never seen.
States change, too: if more photos match by the time that somebody is sure, they are asked once more.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST

from webapp.accounts.callers import caller_of
from webapp.gallery.access import check_take
from webapp.gallery.browsing.addresses import list_address
from webapp.gallery.browsing.photo_lists import PhotoList
from webapp.gallery.models import Gallery, Level, Photo
from webapp.gallery.selectors import gallery_for, photo_for, targets_for
from webapp.http.pages import REFUSALS_SHOWN, photos_text, tell_refused, uuid_or_none, warn
from webapp.indexing import deleting, retrying
from webapp.indexing.moving import PhotosMoved
from webapp.people.moving import photos_move

#: Pictures on the page that asks.
PICTURES_SHOWN: Final = 12


@login_required
@require_POST
def selected_delete(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Ask first; a form that is `sure` deletes."""
    caller = caller_of(request)
    gallery = gallery_for(caller, gallery_id, Level.EDITOR)
    chosen = _chosen(request, gallery)
    if not chosen.exists():
        return _nothing_chosen(request, gallery)
    if "sure" not in request.POST or _has_grown(request, chosen):
        return _ask(request, gallery, chosen, "gallery/selected_delete.html")
    deleted = deleting.photos_delete(gallery=gallery, photo_ids=_ids(chosen), requested_by_id=caller.user.pk)
    count = len(deleted.photo_ids)
    messages.success(request, f"{photos_text(count)} {'is' if count == 1 else 'are'} being deleted.")
    warn(request, deleted.warning)
    return redirect(_back(request, gallery))


@login_required
@require_POST
def selected_move(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Ask where to; a form that has a `target` moves."""
    gallery = gallery_for(caller_of(request), gallery_id, Level.EDITOR)
    chosen = _chosen(request, gallery)
    if not chosen.exists():
        return _nothing_chosen(request, gallery)
    if "target" not in request.POST or _has_grown(request, chosen):
        return _ask(request, gallery, chosen, "gallery/selected_move.html")
    return _move(request, gallery, list(_ids(chosen)))


@login_required
@require_POST
def selected_retry(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Send those of the chosen photos again that may succeed."""
    caller = caller_of(request)
    gallery = gallery_for(caller, gallery_id, Level.EDITOR)
    chosen = _chosen(request, gallery)
    if not chosen.exists():
        return _nothing_chosen(request, gallery)
    job, warning = retrying.photos_retry(gallery=gallery, photo_ids=_ids(chosen), requested_by_id=caller.user.pk)
    messages.info(
        request,
        f"{photos_text(job.total)} sent again."
        if job
        else "None of the chosen photos was sent again: the others have not failed, or would fail in the same way.",
    )
    warn(request, warning)
    return redirect(_back(request, gallery))


@login_required
@require_POST
def photo_move(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    photo = photo_for(caller_of(request), photo_id, Level.EDITOR)
    return _move(request, photo.gallery, [photo_id])


def _chosen(request: HttpRequest, gallery: Gallery) -> QuerySet[Photo]:
    """Return the chosen photos, without those that are being deleted."""
    if "all" in request.POST:
        seen_at = _moment(request.POST.get("seen_at", ""))
        found = PhotoList.asked(request.GET).photos(gallery).order_by()
        found = found.filter(created__lte=seen_at) if seen_at else found.none()
    else:
        texts = [*request.POST.getlist("photo"), *request.POST.get("photos", "").split(".")]
        ids = [each for each in map(uuid_or_none, texts) if each]
        found = gallery.photos.filter(id__in=ids).order_by()
    return found.exclude(state=Photo.State.DELETING)


def _ids(photos: QuerySet[Photo]) -> QuerySet[Photo, UUID]:
    return photos.values_list("id", flat=True)


def _has_grown(request: HttpRequest, chosen: QuerySet[Photo]) -> bool:
    """Tell whether "all" are more by now than the page that asked said."""
    count = request.POST.get("count", "")
    asked_about = int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0
    return "all" in request.POST and chosen.count() > asked_about


def _nothing_chosen(request: HttpRequest, gallery: Gallery) -> HttpResponse:
    messages.error(request, "Please choose at least one photo.")
    return redirect(_back(request, gallery))


def _ask(request: HttpRequest, gallery: Gallery, chosen: QuerySet[Photo], template: str) -> HttpResponse:
    everything = "all" in request.POST
    context = {
        "gallery": gallery,
        "shown": PhotoList.asked(request.GET),
        "count": chosen.count(),
        "pictures": chosen.exclude(renditions="").order_by("-created", "-id")[:PICTURES_SHOWN],
        "is_all": everything,
        "has_grown": "count" in request.POST,
        "seen_at": request.POST.get("seen_at", ""),
        "ids": "" if everything else ".".join(photo_id.hex for photo_id in _ids(chosen)),
        "targets": targets_for(caller_of(request), gallery),
    }
    return render(request, template, context)


def _move(request: HttpRequest, source: Gallery, photo_ids: list[UUID]) -> HttpResponse:
    caller = caller_of(request)
    target = gallery_for(caller, uuid_or_none(request.POST.get("target", "")) or source.id, Level.EDITOR)
    if target.id == source.id:
        messages.error(request, "Please choose the gallery to move to.")
        return redirect(_back(request, source))
    check_take(caller, source, target)
    moved = photos_move(source=source, target=target, photo_ids=photo_ids, requested_by_id=caller.user.pk)
    _tell(request, moved, source, target)
    return redirect("gallery_detail", target.id) if moved.job else redirect(_back(request, source))


def _tell(request: HttpRequest, moved: PhotosMoved, source: Gallery, target: Gallery) -> None:
    if moved.job is not None:
        messages.success(request, f"{photos_text(moved.job.total)} moved to “{target.name}”.")
    refused = [photo for photo in moved.photos if photo.result == "refused"]
    told = [photo.photo_id for photo in refused[:REFUSALS_SHOWN]]
    names = dict(source.photos.filter(id__in=told).values_list("id", "filename"))
    sentences = [f"{names.get(photo.photo_id, 'A photo')} was not moved: {photo.message}" for photo in refused]
    tell_refused(request, sentences, more="photos were not moved")
    warn(request, moved.warning)


def _back(request: HttpRequest, gallery: Gallery) -> str:
    """Return the address of the list that the form was on."""
    return list_address(gallery.id, PhotoList.asked(request.GET))


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None

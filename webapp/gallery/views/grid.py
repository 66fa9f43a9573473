"""A gallery's page: the grid of its photos, part by part, and what changes on it while photos are indexed."""

from typing import Any, Final
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from tasks import clock
from webapp.accounts.callers import caller_of
from webapp.gallery import selectors
from webapp.gallery.access import level_of
from webapp.gallery.browsing.neighbours import cursor_near
from webapp.gallery.browsing.photo_lists import Dates, PhotoList, Sort
from webapp.gallery.models import FailedPhoto, Gallery, Photo
from webapp.generations.faces import with_face_counts
from webapp.http.pages import GRID_SIZE, uuid_or_none
from webapp.http.problems import Problem
from webapp.http.rest.cursors import part_of
from webapp.indexing.uploads import upload_terms

#: The most tiles that are drawn anew at a time: `static/js/grid.js` asks for no more.
TILES_RENEWED: Final = 60


@login_required
@require_safe
def gallery_detail(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Show the gallery with the first part of its photos, or with the part at `cursor` or near the photo `at`."""
    gallery = selectors.gallery_for(caller_of(request), gallery_id)
    shown = PhotoList.asked(request.GET)
    context = _changes_context(request, gallery, shown) | _part_context(request, gallery, shown)
    everything = context["total"] if shown.is_everything else None
    context |= {
        "level": level_of(caller_of(request), gallery),
        "terms": upload_terms(),
        "matching": shown.photos(gallery).count() if everything is None else everything,
        "folders": selectors.folders_of(gallery),
        "sorts": Sort,
        "dates": Dates,
        "now": clock.utcnow().isoformat(),
        "is_still": "still" in request.GET,
    }
    return render(request, "gallery/gallery_detail.html", context)


@login_required
@require_safe
def gallery_grid(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """The next part of the grid, for htmx to add to the page."""
    gallery = selectors.gallery_for(caller_of(request), gallery_id)
    context = _part_context(request, gallery, PhotoList.asked(request.GET))
    context["level"] = level_of(caller_of(request), gallery)
    return render(request, "gallery/_tiles.html", context)


@login_required
@require_safe
def gallery_changes(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """The counts, and the tiles of the photos `tile`, for htmx to put in the place of those on the page.

    Only this is polled: a page on which somebody has scrolled far has thousands of tiles, and few of them change.
    """
    gallery = selectors.gallery_for(caller_of(request), gallery_id)
    asked = [each for each in map(uuid_or_none, request.GET.getlist("tile")[:TILES_RENEWED]) if each]
    kept = gallery.photos.filter(id__in=asked).exclude(state=Photo.State.DELETING)
    photos = with_face_counts(list(kept))
    context = _changes_context(request, gallery, PhotoList.asked(request.GET)) | {
        "level": level_of(caller_of(request), gallery),
        "photos": photos,
        "gone": set(asked) - {photo.id for photo in photos},
    }
    # While the page has tiles that it has not asked for, because they are too many at once, it has to go on asking.
    context["is_settled"] &= len(asked) < TILES_RENEWED
    return render(request, "gallery/_changes.html", context)


def _part_context(request: HttpRequest, gallery: Gallery, shown: PhotoList) -> dict[str, Any]:
    cursor = _cursor(request, gallery, shown)
    try:
        photos, following = part_of(shown.photos(gallery), order=shown.sort.order, cursor=cursor, limit=GRID_SIZE)
    except Problem:  # a cursor of a list in another order
        cursor = ""
        photos, following = part_of(shown.photos(gallery), order=shown.sort.order, cursor="", limit=GRID_SIZE)
    return {
        "gallery": gallery,
        "shown": shown,
        "photos": with_face_counts(photos),
        "next_cursor": following,
        "is_first_part": not cursor,
    }


def _cursor(request: HttpRequest, gallery: Gallery, shown: PhotoList) -> str:
    photo_id = uuid_or_none(request.GET.get("at", ""))
    photo = gallery.photos.filter(id=photo_id).first() if photo_id else None
    return cursor_near(photo, shown) if photo else request.GET.get("cursor", "")


def _changes_context(request: HttpRequest, gallery: Gallery, shown: PhotoList) -> dict[str, Any]:
    progress = selectors.progress_of(gallery)
    total = sum(progress.values()) - progress[Photo.State.DELETING]
    seen = request.GET.get("seen", "")
    seen_total = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else total
    retried = progress[Photo.State.FAILED] and gallery.photos.filter(state="failed", code__in=FailedPhoto.CODES).count()
    return {
        "gallery": gallery,
        "shown": shown,
        "progress": [(state, progress[state], shown.in_state(state).query) for state in Photo.State if progress[state]],
        "total": total,
        "seen_total": seen_total,
        "new_count": max(0, total - seen_total),
        "retried_count": retried,
        "is_settled": selectors.is_settled(progress),
    }

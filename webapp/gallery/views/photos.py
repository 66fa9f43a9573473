"""The pages of photos."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.accounts.callers import caller_of
from webapp.gallery import selectors
from webapp.gallery.access import check_download, level_of, may_download
from webapp.gallery.browsing.addresses import list_address, photo_address
from webapp.gallery.browsing.neighbours import neighbours_of
from webapp.gallery.browsing.photo_lists import PhotoList
from webapp.gallery.files import file_answer
from webapp.gallery.models import UNSETTLED, FailedPhoto, Level, Photo
from webapp.generations import faces
from webapp.http.pages import photos_text, warn
from webapp.http.problems import not_found
from webapp.indexing import deleting, retrying
from webapp.people.selectors import people_of

#: The most names that a face's form suggests.
NAMES_SHOWN = 500


@login_required
@require_safe
def photo_detail(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    """A photo with its faces drawn; `?face=` marks one of them, and the rest says in which list it is looked at.

    The page asks for itself again while the photo is being indexed, and is loaded anew once something has changed.
    """
    caller = caller_of(request)
    photo = selectors.photo_for(caller, photo_id)
    is_settled = photo.state not in UNSETTLED
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"} if is_settled else None)
    level = level_of(caller, photo.gallery)
    shown = PhotoList.asked(request.GET)
    context = {
        "photo": photo,
        "shown": shown,
        "neighbours": neighbours_of(photo, shown),
        "level": level,
        "is_settled": is_settled,
        "may_retry": level.may_edit and _may_retry(photo),
        "may_download": may_download(caller, photo.gallery),
        "targets": selectors.targets_for(caller, photo.gallery),
        "faces": faces.faces_of(photo),
        "marked": request.GET.get("face", ""),
        "names": people_of(photo.gallery).values_list("name", flat=True)[:NAMES_SHOWN],
    }
    return render(request, "gallery/photo_detail.html", context)


def _may_retry(photo: Photo) -> bool:
    """Tell whether indexing the photo once more may change anything."""
    if photo.state == Photo.State.FAILED:
        return photo.code in FailedPhoto.CODES
    return photo.state == Photo.State.CANCELLED


@login_required
@require_safe
def photo_original(request: HttpRequest, photo_id: UUID) -> HttpResponseBase:
    """Let those who may download it save the photo's file under its name."""
    caller = caller_of(request)
    photo = selectors.photo_for(caller, photo_id)
    check_download(caller, photo.gallery)
    return file_answer(request, photo)


@login_required
@require_POST
def photo_retry(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    photo = selectors.photo_for(caller_of(request), photo_id, Level.EDITOR)
    user_id = caller_of(request).user.pk
    job, warning = retrying.photos_retry(gallery=photo.gallery, photo_ids=[photo.id], requested_by_id=user_id)
    messages.info(request, f"{photos_text(job.total if job else 0)} sent again.")
    warn(request, warning)
    return redirect(photo_address(photo, PhotoList.asked(request.GET)))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def photo_delete(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    """Ask first; POST deletes the photo, and leads to where it was in the list."""
    photo = selectors.photo_for(caller_of(request), photo_id, Level.EDITOR)
    shown = PhotoList.asked(request.GET)
    if request.method != "POST":
        return render(request, "gallery/photo_delete.html", {"photo": photo, "shown": shown})
    beside = neighbours_of(photo, shown)
    deleted = deleting.photos_delete(gallery=photo.gallery, photo_ids=[photo.id])
    if not deleted.photo_ids:  # it has just been moved away, or deleted
        raise not_found("photo")
    messages.success(request, f"{photo.filename} is being deleted.")
    warn(request, deleted.warning)
    return redirect(list_address(photo.gallery_id, shown, at=beside.following or beside.previous))

"""The pages of galleries."""

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.accounts.callers import caller_of
from webapp.gallery import quotas, selectors, services
from webapp.gallery.access import level_of
from webapp.gallery.models import Gallery, Level, Photo
from webapp.generations import faces
from webapp.http.pages import GRID_SIZE, STOP_POLLING, photos_text, warn
from webapp.http.problems import Problem
from webapp.indexing import deleting, retrying
from webapp.indexing.uploads import upload_terms

PAGE_SIZE = GRID_SIZE


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def gallery_list(request: HttpRequest) -> HttpResponse:
    """List the galleries; POST creates one."""
    problem = None
    name = request.POST.get("name", "")
    if request.method == "POST":
        try:
            gallery = services.gallery_create(owner=caller_of(request).user, name=name)
            return redirect("gallery_detail", gallery.id)
        except Problem as error:
            problem = error
    galleries = selectors.galleries_for(caller_of(request))
    quota = quotas.quota_text(cast(int, request.user.pk))
    context = {"galleries": galleries, "problem": problem, "name": name, "quota": quota}
    return render(request, "gallery/gallery_list.html", context, status=problem.status if problem else 200)


@login_required
@require_safe
def gallery_detail(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    gallery = selectors.gallery_for(caller_of(request), gallery_id)
    context = _grid_context(request, gallery) | {"terms": upload_terms()}
    return render(request, "gallery/gallery_detail.html", context)


@login_required
@require_safe
def gallery_grid(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """The part of the gallery's page that changes, for htmx to poll until nothing is pending."""
    gallery = selectors.gallery_for(caller_of(request), gallery_id)
    context = _grid_context(request, gallery)
    status = STOP_POLLING if context["is_settled"] else 200
    return render(request, "gallery/_grid.html", context, status=status)


def _grid_context(request: HttpRequest, gallery: Gallery) -> dict[str, Any]:
    progress = selectors.progress_of(gallery)
    state = request.GET.get("state", "")
    photos = faces.photos_of(gallery, state=state if state in Photo.State else "")
    return {
        "gallery": gallery,
        "level": level_of(caller_of(request), gallery),
        "page": Paginator(photos, PAGE_SIZE).get_page(request.GET.get("page")),
        "state": state if state in Photo.State else "",
        "progress": [(choice, progress[choice]) for choice in Photo.State if progress[choice]],
        "failed_count": progress[Photo.State.FAILED],
        "total": sum(progress.values()),
        "is_settled": selectors.is_settled(progress),
    }


@login_required
@require_POST
def failed_retry(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    gallery = selectors.gallery_for(caller_of(request), gallery_id, Level.EDITOR)
    job, warning = retrying.failed_photos_retry(gallery=gallery, requested_by_id=caller_of(request).user.pk)
    messages.info(request, f"{photos_text(job.total if job else 0)} sent again.")
    warn(request, warning)
    return redirect("gallery_detail", gallery.id)


@login_required
@require_POST
def gallery_rename(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    gallery = selectors.gallery_for(caller_of(request), gallery_id, Level.OWNER)
    try:
        services.gallery_change(gallery=gallery, name=request.POST.get("name", ""))
    except Problem as problem:
        messages.error(request, problem.message)
    return redirect("gallery_detail", gallery.id)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def gallery_delete(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Ask first; POST deletes the gallery with all its photos."""
    gallery = selectors.gallery_for(caller_of(request), gallery_id, Level.OWNER)
    if request.method != "POST":
        return render(request, "gallery/gallery_delete.html", {"gallery": gallery, "total": gallery.photos.count()})
    warning = deleting.gallery_delete(gallery=gallery, requested_by_id=caller_of(request).user.pk)
    messages.success(request, f"The gallery “{gallery.name}” is deleted.")
    warn(request, warning)
    return redirect("gallery_list")

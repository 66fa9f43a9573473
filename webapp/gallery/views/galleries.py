"""The pages of galleries."""

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.callers import caller_of
from webapp.gallery import quotas, selectors, services
from webapp.gallery.browsing.covers import covers_of
from webapp.gallery.models import Level
from webapp.http.pages import photos_text, warn
from webapp.http.problems import Problem
from webapp.indexing import deleting, retrying


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
    galleries = list(selectors.galleries_for(caller_of(request)))
    covers = covers_of(galleries)
    quota = quotas.quota_text(cast(int, request.user.pk))
    shown = [(gallery, covers.get(gallery.id)) for gallery in galleries]
    context = {"galleries": shown, "problem": problem, "name": name, "quota": quota}
    return render(request, "gallery/gallery_list.html", context, status=problem.status if problem else 200)


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

"""The pages of galleries, photos and people."""

from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webapp.gallery import quotas, selectors, services
from webapp.gallery.models import Gallery, Photo
from webapp.generations import faces
from webapp.http.pages import STOP_POLLING, photos_text, warn
from webapp.http.problems import Problem, not_found
from webapp.indexing import adding, deleting, retrying
from webapp.people.selectors import people_of

#: Photos on a page of the grid.
PAGE_SIZE = 60
#: The most refused files that are listed individually.
REFUSALS_SHOWN = 10
#: The most names that a face's form suggests.
NAMES_SHOWN = 500
#: What is read at a time of a photo that is shown.
PIECE_BYTES = 256 * 1024

if TYPE_CHECKING:
    from django.core.files import File as DjangoFile

    File = DjangoFile[bytes]


@login_required
@require_http_methods(["GET", "POST"])
def gallery_list(request: HttpRequest) -> HttpResponse:
    """List the galleries; POST creates one."""
    problem = None
    name = request.POST.get("name", "")
    if request.method == "POST":
        try:
            gallery = services.gallery_create(owner=request.user, name=name)
            return redirect("gallery_detail", gallery.id)
        except Problem as error:
            problem = error
    galleries = selectors.galleries_for(request.user)
    quota = quotas.quota_text(cast(int, request.user.pk))
    context = {"galleries": galleries, "problem": problem, "name": name, "quota": quota}
    return render(request, "gallery/gallery_list.html", context, status=problem.status if problem else 200)


@login_required
@require_GET
def gallery_detail(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    gallery = selectors.gallery_for(request.user, gallery_id)
    return render(request, "gallery/gallery_detail.html", _grid_context(request, gallery))


@login_required
@require_GET
def gallery_grid(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """The part of the gallery's page that changes, for htmx to poll until nothing is pending."""
    gallery = selectors.gallery_for(request.user, gallery_id)
    context = _grid_context(request, gallery)
    status = STOP_POLLING if context["is_settled"] else 200
    return render(request, "gallery/_grid.html", context, status=status)


def _grid_context(request: HttpRequest, gallery: Gallery) -> dict[str, Any]:
    progress = selectors.progress_of(gallery)
    state = request.GET.get("state", "")
    photos = faces.photos_of(gallery, state=state if state in Photo.State else "")
    return {
        "gallery": gallery,
        "page": Paginator(photos, PAGE_SIZE).get_page(request.GET.get("page")),
        "state": state if state in Photo.State else "",
        "progress": [(choice, progress[choice]) for choice in Photo.State if progress[choice]],
        "failed_count": progress[Photo.State.FAILED],
        "total": sum(progress.values()),
        "is_settled": selectors.is_settled(progress),
    }


@login_required
@require_POST
def photos_upload(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    gallery = selectors.gallery_for(request.user, gallery_id)
    files = request.FILES.getlist("photos")
    if not files:
        messages.error(request, "Please choose at least one photo.")
        return redirect("gallery_detail", gallery.id)
    outcome = adding.photos_add(gallery=gallery, files=files)
    _tell(request, outcome)
    return redirect("gallery_detail", gallery.id)


def _tell(request: HttpRequest, outcome: adding.PhotosAdded) -> None:
    if outcome.added:
        messages.success(request, f"{photos_text(len(outcome.added))} added.")
    if outcome.already_there:
        messages.info(request, f"{photos_text(len(outcome.already_there))} already here.")
    for file in outcome.refused[:REFUSALS_SHOWN]:
        messages.error(request, f"{file.filename}: {file.message}")
    if len(outcome.refused) > REFUSALS_SHOWN:
        messages.error(request, f"{len(outcome.refused) - REFUSALS_SHOWN} more files were refused.")
    warn(request, outcome.warning)


@login_required
@require_POST
def failed_retry(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    gallery = selectors.gallery_for(request.user, gallery_id)
    count, warning = retrying.failed_photos_retry(gallery=gallery)
    messages.info(request, f"{photos_text(count)} sent again.")
    warn(request, warning)
    return redirect("gallery_detail", gallery.id)


@login_required
@require_http_methods(["GET", "POST"])
def gallery_delete(request: HttpRequest, gallery_id: UUID) -> HttpResponse:
    """Ask first; POST deletes the gallery with all its photos."""
    gallery = selectors.gallery_for(request.user, gallery_id)
    if request.method == "GET":
        return render(request, "gallery/gallery_delete.html", {"gallery": gallery, "total": gallery.photos.count()})
    warning = deleting.gallery_delete(gallery=gallery)
    messages.success(request, f"The gallery “{gallery.name}” is deleted.")
    warn(request, warning)
    return redirect("gallery_list")


@login_required
@require_GET
def photo_detail(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    """A photo with its faces drawn; `?face=` marks one of them."""
    photo = selectors.photo_for(request.user, photo_id)
    context = {
        "photo": photo,
        "faces": faces.faces_of(photo),
        "marked": request.GET.get("face", ""),
        "names": people_of(photo.gallery).values_list("name", flat=True)[:NAMES_SHOWN],
    }
    return render(request, "gallery/photo_detail.html", context)


@login_required
@require_GET
def photo_file(request: HttpRequest, photo_id: UUID) -> HttpResponseBase:
    """Serve the photo's bytes unchanged to those who may see it, as the kind of picture that a worker found in them.

    The file comes from outside: the browser must treat it as that kind of picture or not at all.
    """
    photo = selectors.photo_for(request.user, photo_id)
    content_type = selectors.content_type_of(photo)
    if content_type is None:
        raise not_found("picture")
    etag = f'"{photo.sha256}"'
    response: HttpResponseBase
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponseNotModified()
    else:
        try:
            response = _file_response(photo.file.open("rb"), content_type)
        except FileNotFoundError:
            raise not_found("picture") from None
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=300"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def _file_response(file: "File", content_type: str) -> HttpResponseBase:
    if file.size <= PIECE_BYTES:
        with file:
            return HttpResponse(file.read(), content_type=content_type)
    response = StreamingHttpResponse(_Pieces(file), content_type=content_type)
    response["Content-Length"] = str(file.size)
    return response


class _Pieces:
    """A file piece by piece: of a client that takes it slowly, memory holds no more than it is taking."""

    def __init__(self, file: "File") -> None:
        self._file = file

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece: bytes = await sync_to_async(self._file.read)(PIECE_BYTES)
        if not piece:
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Called by Django when the response is over, complete or not."""
        self._file.close()


@login_required
@require_POST
def photo_retry(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    photo = selectors.photo_for(request.user, photo_id)
    _, warning = retrying.photos_retry(gallery=photo.gallery, photo_ids=[photo.id])
    warn(request, warning)
    return redirect("gallery_detail", photo.gallery_id)


@login_required
@require_POST
def photo_delete(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    photo = selectors.photo_for(request.user, photo_id)
    warning = deleting.photos_delete(gallery=photo.gallery, photo_ids=[photo.id])
    messages.success(request, f"{photo.filename} is being deleted.")
    warn(request, warning)
    return redirect("gallery_detail", photo.gallery_id)

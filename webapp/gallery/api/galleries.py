"""The API of galleries."""

from typing import Annotated
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router, Schema, Status
from pydantic.json_schema import SkipJsonSchema

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.gallery import selectors, services
from webapp.gallery.access import level_of, levels_of
from webapp.gallery.models import Level
from webapp.gallery.schemas import GalleryOut, gallery_out
from webapp.http.rest.conditions import unchanged
from webapp.http.rest.cursors import Cursor, Limit, part_of
from webapp.http.schemas import JsonIn, ProblemOut
from webapp.indexing import deleting

router = Router(auth=Needs(Scope.READ), tags=["galleries"])
writing = Needs(Scope.WRITE)

Name = Annotated[
    Annotated[str, Field(max_length=1000)],
    Query("", description="Only those of this name; by default, all."),
]


class GalleryIn(JsonIn):
    name: str


class GalleryChangesIn(JsonIn):
    """What is to change; a field that is not given stays as it is."""

    name: str | SkipJsonSchema[None] = None
    #: Whether members may download the files of photos.
    may_download: bool | SkipJsonSchema[None] = None


class GalleriesOut(Schema):
    items: list[GalleryOut]
    next_cursor: str | None


class ProgressOut(Schema):
    """The number of photos in each state."""

    pending: int
    indexed: int
    no_faces: int
    failed: int
    cancelled: int
    deleting: int
    moving: int


class GalleryDeletionOut(Schema):
    gallery_id: UUID
    #: Not empty when the deletion goes on once the queue is back.
    warning: str


@router.post("/galleries", response={201: GalleryOut, (400, 403, 409): ProblemOut}, auth=writing)
def create_gallery(request: HttpRequest, response: HttpResponse, data: GalleryIn) -> Status[GalleryOut]:
    """Create a gallery."""
    caller = caller_of(request)
    caller.check_unlimited()
    gallery = services.gallery_create(owner=caller.user, name=data.name)
    response["Location"] = f"/api/v1/galleries/{gallery.id}"
    return Status(201, gallery_out(gallery, Level.OWNER))


@router.get("/galleries", response={200: GalleriesOut, (403, 422): ProblemOut})
def list_galleries(request: HttpRequest, name: Name = "", cursor: Cursor = "", limit: Limit = 100) -> GalleriesOut:
    """List the galleries that you may see, yours and those that are shared with you, by name."""
    caller = caller_of(request)
    galleries, following = part_of(
        selectors.galleries_named(caller, name), order=("name", "id"), cursor=cursor, limit=limit
    )
    levels = levels_of(caller, galleries)
    # Who is no member any more sees it no longer.
    items = [gallery_out(each, levels[each.id]) for each in galleries if each.id in levels]
    return GalleriesOut(items=items, next_cursor=following)


@router.get("/galleries/{uuid:gallery_id}", response={200: GalleryOut, (403, 404): ProblemOut})
def show_gallery(request: HttpRequest, gallery_id: UUID) -> GalleryOut:
    """Show a gallery."""
    caller = caller_of(request)
    gallery = selectors.gallery_for(caller, gallery_id)
    return gallery_out(gallery, level_of(caller, gallery))


@router.patch(
    "/galleries/{uuid:gallery_id}", response={200: GalleryOut, (400, 403, 404, 409, 412): ProblemOut}, auth=writing
)
def change_gallery(request: HttpRequest, gallery_id: UUID, data: GalleryChangesIn) -> GalleryOut:
    """Change a gallery's name or settings. For the owner."""
    gallery = selectors.gallery_for(caller_of(request), gallery_id, Level.OWNER)
    gallery = services.gallery_change(
        gallery=gallery, name=data.name, may_download=data.may_download, check=unchanged(request)
    )
    return gallery_out(gallery, Level.OWNER)


@router.delete(
    "/galleries/{uuid:gallery_id}", response={202: GalleryDeletionOut, (403, 404, 412): ProblemOut}, auth=writing
)
def delete_gallery(request: HttpRequest, gallery_id: UUID) -> Status[GalleryDeletionOut]:
    """Delete a gallery with all its photos and people. It is hidden at once, and gone when its vectors are removed."""
    caller = caller_of(request)
    gallery = selectors.gallery_for(caller, gallery_id, Level.OWNER)
    warning = deleting.gallery_delete(gallery=gallery, requested_by_id=caller.user.pk, check=unchanged(request))
    return Status(202, GalleryDeletionOut(gallery_id=gallery_id, warning=warning))


@router.get("/galleries/{uuid:gallery_id}/progress", response={200: ProgressOut, (403, 404): ProblemOut})
def progress(request: HttpRequest, gallery_id: UUID) -> dict[str, int]:
    """Count the gallery's photos by state."""
    return selectors.progress_of(selectors.gallery_for(caller_of(request), gallery_id))

"""The API of galleries."""

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema, Status

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.gallery import selectors, services
from webapp.gallery.access import levels_of
from webapp.gallery.models import Level
from webapp.gallery.schemas import GalleryOut, gallery_out
from webapp.http.schemas import ProblemOut

router = Router(auth=Needs(Scope.READ), tags=["galleries"])
writing = Needs(Scope.WRITE)


class GalleryIn(Schema):
    name: str


class ProgressOut(Schema):
    pending: int
    indexed: int
    no_faces: int
    failed: int
    cancelled: int
    deleting: int


@router.post("/galleries", response={201: GalleryOut, (400, 409): ProblemOut}, auth=writing)
def create_gallery(request: HttpRequest, data: GalleryIn) -> Status[GalleryOut]:
    """Create a gallery."""
    gallery = services.gallery_create(owner=caller_of(request).user, name=data.name)
    return Status(201, gallery_out(gallery, Level.OWNER))


@router.get("/galleries", response=list[GalleryOut])
def list_galleries(request: HttpRequest) -> list[GalleryOut]:
    """List the galleries that you may see: yours, and those that are shared with you."""
    caller = caller_of(request)
    galleries = list(selectors.galleries_for(caller))
    levels = levels_of(caller, galleries)
    return [gallery_out(gallery, levels[gallery.id]) for gallery in galleries]


@router.get("/galleries/{uuid:gallery_id}/progress", response={200: ProgressOut, 404: ProblemOut})
def progress(request: HttpRequest, gallery_id: UUID) -> dict[str, int]:
    """Count the gallery's photos by state."""
    return selectors.progress_of(selectors.gallery_for(caller_of(request), gallery_id))

"""The API of galleries."""

from datetime import datetime
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema, Status

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.gallery import selectors, services
from webapp.gallery.models import Gallery
from webapp.http.schemas import ProblemOut

router = Router(auth=Needs(Scope.READ), tags=["galleries"])
writing = Needs(Scope.WRITE)


class GalleryIn(Schema):
    name: str


class GalleryOut(Schema):
    id: UUID
    name: str
    created: datetime


class ProgressOut(Schema):
    pending: int
    indexed: int
    no_faces: int
    failed: int
    cancelled: int
    deleting: int


@router.post("/galleries", response={201: GalleryOut, (400, 403, 409): ProblemOut}, auth=writing)
def create_gallery(request: HttpRequest, data: GalleryIn) -> Status[Gallery]:
    """Create a gallery."""
    caller = caller_of(request)
    caller.check_unlimited()
    return Status(201, services.gallery_create(owner=caller.user, name=data.name))


@router.get("/galleries", response=list[GalleryOut])
def list_galleries(request: HttpRequest) -> list[Gallery]:
    """List your galleries."""
    return list(selectors.galleries_for(caller_of(request)))


@router.get("/galleries/{uuid:gallery_id}/progress", response={200: ProgressOut, 404: ProblemOut})
def progress(request: HttpRequest, gallery_id: UUID) -> dict[str, int]:
    """Count the gallery's photos by state."""
    return selectors.progress_of(selectors.gallery_for(caller_of(request), gallery_id))

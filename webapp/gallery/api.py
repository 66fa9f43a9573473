"""The API of galleries, photos and people."""

from datetime import datetime
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest
from ninja import File, Router, Schema, Status
from ninja.files import UploadedFile
from ninja.security import django_auth

from webapp.gallery import selectors, services
from webapp.gallery.models import Face, Gallery, Photo
from webapp.gallery.schemas import FaceOut
from webapp.generations import faces as generations_faces
from webapp.http.schemas import ErrorOut, Page
from webapp.indexing import adding
from webapp.indexing import deleting as indexing_deleting

#: Photos on a page of the list.
PAGE_SIZE = 100

# Session authentication in its synchronous form: each operation runs in a thread from start to end.
router = Router(auth=django_auth, tags=["galleries"])


class GalleryIn(Schema):
    name: str


class GalleryOut(Schema):
    id: UUID
    name: str
    created: datetime


class FileOut(Schema):
    """What became of one uploaded file: `added`, `already_there` or `refused`."""

    filename: str
    result: str
    photo_id: UUID | None = None
    state: str = ""
    code: str = ""
    message: str = ""


class UploadOut(Schema):
    files: list[FileOut]
    #: The job to follow; none when nothing was added.
    job_id: UUID | None
    #: Not empty when the photos are saved and will be indexed once the queue is back.
    warning: str


class PhotoOut(Schema):
    id: UUID
    filename: str
    state: str
    code: str
    message: str
    width: int | None
    height: int | None
    image_format: str
    face_count: int
    created: datetime


class PhotoPage(Schema):
    photos: list[PhotoOut]
    page: int
    pages: int
    total: int


class ProgressOut(Schema):
    pending: int
    indexed: int
    no_faces: int
    failed: int
    cancelled: int
    deleting: int


class DeletionOut(Schema):
    photo_id: UUID
    state: str
    warning: str


class PhotoDetailOut(PhotoOut):
    #: From left to right.
    faces: list[FaceOut]

    @staticmethod
    def resolve_faces(photo: Photo) -> list[Face]:
        return list(generations_faces.faces_of(photo))


@router.post("/galleries", response={201: GalleryOut, (400, 409): ErrorOut})
def create_gallery(request: HttpRequest, data: GalleryIn) -> Status[Gallery]:
    """Create a gallery."""
    return Status(201, services.gallery_create(owner=request.user, name=data.name))


@router.get("/galleries", response=list[GalleryOut])
def list_galleries(request: HttpRequest) -> list[Gallery]:
    """List your galleries."""
    return list(selectors.galleries_for(request.user))


@router.post("/galleries/{uuid:gallery_id}/photos", response={202: UploadOut, 404: ErrorOut})
def add_photos(request: HttpRequest, gallery_id: UUID, files: File[list[UploadedFile]]) -> Status[UploadOut]:
    """Add photos. They are indexed afterwards; `progress` counts them. Identical content is added once."""
    gallery = selectors.gallery_for(request.user, gallery_id)
    added = adding.photos_add(gallery=gallery, files=files)
    return Status(
        202,
        UploadOut(
            files=[_file_out(file) for file in added.files],
            job_id=added.job.id if added.added else None,
            warning=added.warning,
        ),
    )


@router.get("/galleries/{uuid:gallery_id}/photos", response={200: PhotoPage, 404: ErrorOut})
def list_photos(request: HttpRequest, gallery_id: UUID, state: Photo.State | None = None, page: Page = 1) -> PhotoPage:
    """List the gallery's photos, newest first; with `state`, only those in that state."""
    gallery = selectors.gallery_for(request.user, gallery_id)
    paginator = Paginator(generations_faces.photos_of(gallery, state=state or ""), PAGE_SIZE)
    photos = paginator.page(page).object_list if page <= paginator.num_pages else []
    return PhotoPage(
        photos=[PhotoOut.from_orm(photo) for photo in photos],
        page=page,
        pages=paginator.num_pages,
        total=paginator.count,
    )


@router.get("/photos/{uuid:photo_id}", response={200: PhotoDetailOut, 404: ErrorOut})
def show_photo(request: HttpRequest, photo_id: UUID) -> Photo:
    """Show a photo with its faces."""
    photo = selectors.photo_for(request.user, photo_id)
    return generations_faces.photos_of(photo.gallery).get(id=photo_id)


@router.get("/galleries/{uuid:gallery_id}/progress", response={200: ProgressOut, 404: ErrorOut})
def progress(request: HttpRequest, gallery_id: UUID) -> dict[str, int]:
    """Count the gallery's photos by state."""
    return selectors.progress_of(selectors.gallery_for(request.user, gallery_id))


@router.delete("/photos/{uuid:photo_id}", response={202: DeletionOut, 404: ErrorOut})
def delete_photo(request: HttpRequest, photo_id: UUID) -> Status[DeletionOut]:
    """Delete a photo. It is hidden at once, and deleted once its vectors are removed."""
    photo = selectors.photo_for(request.user, photo_id)
    warning = indexing_deleting.photos_delete(gallery=photo.gallery, photo_ids=[photo.id])
    return Status(202, DeletionOut(photo_id=photo_id, state=Photo.State.DELETING, warning=warning))


# -- people -----------------------------------------------------------------------------------------------


def _file_out(file: adding.AddedFile) -> FileOut:
    return FileOut(
        filename=file.filename,
        result=file.result,
        photo_id=file.photo.id if file.photo else None,
        state=file.photo.state if file.photo else "",
        code=file.code,
        message=file.message,
    )

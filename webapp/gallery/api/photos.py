"""The API of photos."""

from datetime import datetime
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest
from ninja import File, Router, Schema, Status
from ninja.files import UploadedFile

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.gallery import selectors
from webapp.gallery.models import Face, Level, Photo
from webapp.gallery.schemas import FaceOut
from webapp.generations import faces as generations_faces
from webapp.http.schemas import Page, ProblemOut
from webapp.indexing import adding
from webapp.indexing import deleting as indexing_deleting

#: Photos on a page of the list.
PAGE_SIZE = 100

router = Router(auth=Needs(Scope.READ), tags=["photos"])
writing = Needs(Scope.WRITE)


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


@router.post("/galleries/{uuid:gallery_id}/photos", response={202: UploadOut, (403, 404): ProblemOut}, auth=writing)
def add_photos(request: HttpRequest, gallery_id: UUID, files: File[list[UploadedFile]]) -> Status[UploadOut]:
    """Add photos. They are indexed afterwards; `progress` counts them. Identical content is added once."""
    caller = caller_of(request)
    gallery = selectors.gallery_for(caller, gallery_id, Level.EDITOR)
    added = adding.photos_add(gallery=gallery, files=files, requested_by_id=caller.user.pk)
    return Status(
        202,
        UploadOut(
            files=[_file_out(file) for file in added.files],
            job_id=added.job.id if added.added else None,
            warning=added.warning,
        ),
    )


@router.get("/galleries/{uuid:gallery_id}/photos", response={200: PhotoPage, 404: ProblemOut})
def list_photos(request: HttpRequest, gallery_id: UUID, state: Photo.State | None = None, page: Page = 1) -> PhotoPage:
    """List the gallery's photos, newest first; with `state`, only those in that state."""
    gallery = selectors.gallery_for(caller_of(request), gallery_id)
    paginator = Paginator(generations_faces.photos_of(gallery, state=state or ""), PAGE_SIZE)
    photos = paginator.page(page).object_list if page <= paginator.num_pages else []
    return PhotoPage(
        photos=[PhotoOut.from_orm(photo) for photo in photos],
        page=page,
        pages=paginator.num_pages,
        total=paginator.count,
    )


@router.get("/photos/{uuid:photo_id}", response={200: PhotoDetailOut, 404: ProblemOut})
def show_photo(request: HttpRequest, photo_id: UUID) -> Photo:
    """Show a photo with its faces."""
    photo = selectors.photo_for(caller_of(request), photo_id)
    return generations_faces.photos_of(photo.gallery).get(id=photo_id)


@router.delete("/photos/{uuid:photo_id}", response={202: DeletionOut, (403, 404): ProblemOut}, auth=writing)
def delete_photo(request: HttpRequest, photo_id: UUID) -> Status[DeletionOut]:
    """Delete a photo. It is hidden at once, and deleted once its vectors are removed."""
    photo = selectors.photo_for(caller_of(request), photo_id, Level.EDITOR)
    deleted = indexing_deleting.photos_delete(gallery=photo.gallery, photo_ids=[photo.id])
    return Status(202, DeletionOut(photo_id=photo_id, state=Photo.State.DELETING, warning=deleted.warning))


def _file_out(file: adding.AddedFile) -> FileOut:
    return FileOut(
        filename=file.filename,
        result=file.result,
        photo_id=file.photo.id if file.photo else None,
        state=file.photo.state if file.photo else "",
        code=file.code,
        message=file.message,
    )

"""The API of photos."""

from datetime import date
from typing import Annotated, Any, Final, Literal, cast
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Field, File, Form, Query, Router, Schema, Status
from ninja.files import UploadedFile

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.gallery import selectors
from webapp.gallery.access import check_download
from webapp.gallery.browsing.photo_lists import Sort
from webapp.gallery.files import file_answer
from webapp.gallery.models import Face, Level, Photo
from webapp.gallery.schemas import FaceOut, PhotoOut, PhotosOut, PhotoStateOut
from webapp.generations import faces as generations_faces
from webapp.http.problems import Problem, not_found
from webapp.http.rest.conditions import unchanged
from webapp.http.rest.cursors import Cursor, Limit, part_of
from webapp.http.schemas import Moment, ProblemOut
from webapp.indexing import adding, deleting, retrying
from webapp.jobs.services import import_joined

router = Router(auth=Needs(Scope.READ), tags=["photos"])
writing = Needs(Scope.WRITE)

#: In the OpenAPI document.
PICTURE: Final = {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}

State = Annotated[
    Photo.State | None, Query(None, description="Only photos in this state; by default, in any but `deleting`.")
]
OfPerson = Annotated[UUID | None, Query(None, description="Only photos with a face of this person; by default, all.")]
FilenamePart = Annotated[
    Annotated[str, Field(max_length=255)],
    Query("", description="Only photos whose file name contains this; A and a are the same. By default, all."),
]
After = Annotated[Moment | None, Query(None, description="Only photos added at this time or later.")]
Before = Annotated[Moment | None, Query(None, description="Only photos added before this time.")]
InFolder = Annotated[
    Annotated[str, Field(max_length=1000)],
    Query("", description="Only photos of this folder and of those in it. By default, all."),
]
TakenFrom = Annotated[
    date | None, Query(None, description="Only photos taken on this day or later, by the camera's clock.")
]
TakenBefore = Annotated[
    date | None, Query(None, description="Only photos taken before this day, by the camera's clock.")
]
Order = Annotated[
    Literal["-created", "created", "-taken_at", "taken_at", "filename", "-filename"],
    Query(
        "-created",
        description="`created`, `taken_at` or `filename`, descending with `-`; by default, the newest come first."
        " By `taken_at`, a photo without a date stands where it would if it had been taken when it was added.",
    ),
]

JoinedJob = Annotated[
    UUID | None,
    Query(
        None,
        description="For an upload in several requests that is to be one job: a random UUID, the same in each. The job "
        "begins with the first photo that is added, and stays open until `POST /jobs/{job_id}/close`, or until five "
        "minutes pass without a photo.",
    ),
]

Folders = Annotated[
    list[str],
    Form(
        [],
        description="The folder that each file was in, for example `2019/Rome`: one per file, in their order; empty "
        "for a file in none. By default, all are in none.",
    ),
]


class FileOut(Schema):
    """What became of one uploaded file; `code` and `message` say why it was refused."""

    filename: str
    result: Literal["added", "already_there", "refused"]
    photo_id: UUID | None = None
    #: The photo's own file name, which is another when the content was there under another name.
    photo_filename: str = ""
    #: The photo's job: that of this upload, even if it is only `already_there` because a lost request had added it.
    photo_job_id: UUID | None = None
    state: str = ""
    code: str = ""
    message: str = ""


class UploadOut(Schema):
    #: In the order of the upload.
    files: list[FileOut]
    #: The job to follow; none when nothing was added.
    job_id: UUID | None
    #: Not empty when the photos are saved and will be indexed once the queue is back.
    warning: str


class PhotoDetailOut(PhotoOut):
    #: From left to right.
    faces: list[FaceOut]

    @staticmethod
    def resolve_faces(photo: Photo) -> list[Face]:
        return list(generations_faces.faces_of(photo))


@router.post(
    "/galleries/{uuid:gallery_id}/photos",
    response={202: UploadOut, (400, 403, 404, 409, 413, 422, 507): ProblemOut},
    auth=writing,
)
def add_photos(
    request: HttpRequest,
    gallery_id: UUID,
    files: File[list[UploadedFile]],
    folders: Folders = [],  # noqa: B006 - ninja copies it
    job_id: JoinedJob = None,
) -> Status[UploadOut]:
    """Add photos. They are indexed afterwards; `progress` counts them. Identical content is added once."""
    caller = caller_of(request)
    gallery = selectors.gallery_for(caller, gallery_id, Level.EDITOR)
    user_id = cast(int, caller.user.pk)
    job = import_joined(job_id=job_id, gallery=gallery, requested_by_id=user_id) if job_id else None
    added = adding.photos_add(gallery=gallery, files=_in_folders(files, folders), job=job, requested_by_id=user_id)
    return Status(
        202,
        UploadOut(
            files=[_file_out(file) for file in added.files],
            job_id=added.job.id if added.added else None,
            warning=added.warning,
        ),
    )


@router.get("/galleries/{uuid:gallery_id}/photos", response={200: PhotosOut, (403, 404, 422): ProblemOut})
def list_photos(
    request: HttpRequest,
    gallery_id: UUID,
    state: State = None,
    person_id: OfPerson = None,
    filename: FilenamePart = "",
    created_from: After = None,
    created_before: Before = None,
    folder: InFolder = "",
    taken_from: TakenFrom = None,
    taken_before: TakenBefore = None,
    sort: Order = "-created",
    cursor: Cursor = "",
    limit: Limit = 100,
) -> dict[str, Any]:
    """List the gallery's photos. `progress` counts them."""
    gallery = selectors.gallery_for(caller_of(request), gallery_id)
    found = selectors.photos_filtered(
        generations_faces.photos_of(gallery, person_id=person_id),
        state=state,
        filename=filename,
        created_from=created_from,
        folder=folder.strip("/"),
        created_before=created_before,
        taken_from=taken_from,
        taken_before=taken_before,
    )
    photos, following = part_of(found, order=Sort(sort).order, cursor=cursor, limit=limit)
    return {"items": generations_faces.with_face_counts(photos), "next_cursor": following}


@router.get("/photos/{uuid:photo_id}", response={200: PhotoDetailOut, (403, 404): ProblemOut})
def show_photo(request: HttpRequest, photo_id: UUID) -> Photo:
    """Show a photo with its faces."""
    photo = selectors.photo_for(caller_of(request), photo_id)
    generations_faces.with_face_counts([photo])
    return photo


@router.get(
    "/photos/{uuid:photo_id}/file",
    response={(200, 206): None, (403, 404, 412, 416): ProblemOut},
    openapi_extra={"responses": {200: PICTURE, 206: PICTURE}},
)
def get_photo_file(request: HttpRequest, photo_id: UUID) -> HttpResponseBase:
    """Get the photo's file as it was uploaded, or a part of it (`Range`).

    All its metadata is in it, which may say where the photo was taken. Members need the permission of the gallery's
    owner: `may_download`.
    """
    caller = caller_of(request)
    photo = selectors.photo_for(caller, photo_id)
    check_download(caller, photo.gallery)
    return file_answer(request, photo)


@router.delete("/photos/{uuid:photo_id}", response={202: PhotoStateOut, (403, 404, 412): ProblemOut}, auth=writing)
def delete_photo(request: HttpRequest, photo_id: UUID) -> Status[PhotoStateOut]:
    """Delete a photo. It is hidden at once, and deleted once its vectors are removed."""
    photo = selectors.photo_for(caller_of(request), photo_id, Level.EDITOR)
    deleted = deleting.photos_delete(gallery=photo.gallery, photo_ids=[photo.id], check=unchanged(request))
    if not deleted.photo_ids:  # it has just been moved away, or deleted
        raise not_found("photo")
    return Status(
        202, PhotoStateOut(photo_id=photo_id, state=Photo.State.DELETING, job_id=None, warning=deleted.warning)
    )


@router.post("/photos/{uuid:photo_id}/retry", response={202: PhotoStateOut, (403, 404, 409): ProblemOut}, auth=writing)
def retry_photo(request: HttpRequest, photo_id: UUID) -> Status[PhotoStateOut]:
    """Index a photo again, as a job, whose job was cancelled or which failed and may succeed now."""
    caller = caller_of(request)
    photo = selectors.photo_for(caller, photo_id, Level.EDITOR)
    job, warning = retrying.photo_retry(photo=photo, requested_by_id=caller.user.pk)
    return Status(202, PhotoStateOut(photo_id=photo_id, state=Photo.State.PENDING, job_id=job.id, warning=warning))


def _in_folders(files: list[UploadedFile], folders: list[str]) -> list[adding.IncomingFile]:
    """Raises Problem (`invalid_request`)."""
    if folders and len(folders) != len(files):
        raise Problem("invalid_request", "There must be as many folders as files, or none.", status=422)
    places = folders or [""] * len(files)
    return [adding.IncomingFile(file=file, folder=folder) for file, folder in zip(files, places, strict=True)]


def _file_out(file: adding.AddedFile) -> FileOut:
    return FileOut(
        filename=file.filename,
        result=file.result,
        photo_id=file.photo.id if file.photo else None,
        photo_filename=file.photo.filename if file.photo else "",
        photo_job_id=file.photo.job_id if file.photo else None,
        state=file.photo.state if file.photo else "",
        code=file.code,
        message=file.message,
    )

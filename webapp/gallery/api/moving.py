"""The API of what is done to several photos of a gallery at once, and of moving photos to another gallery."""

from typing import Annotated, Final, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Caller, Scope, caller_of
from webapp.gallery.access import check_take
from webapp.gallery.models import Gallery, Level
from webapp.gallery.schemas import PhotoStateOut
from webapp.gallery.selectors import IDS_PER_QUERY, gallery_for, photo_for
from webapp.http.problems import Problem, not_found
from webapp.http.schemas import Id, JsonIn, ProblemOut
from webapp.indexing import deleting, retrying
from webapp.indexing.moving import PhotosMoved
from webapp.jobs.models import Job
from webapp.people.moving import photos_move

router = Router(auth=Needs(Scope.WRITE), tags=["photos"])

#: The most photos that one request names.
MOST_PHOTOS: Final = IDS_PER_QUERY

PhotoIds = Annotated[list[Id], Field(min_length=1, max_length=MOST_PHOTOS)]


class PhotosIn(JsonIn):
    photo_ids: PhotoIds


class RetryIn(JsonIn):
    #: By default, the gallery's failed photos.
    photo_ids: PhotoIds | None = None


class MoveIn(JsonIn):
    """`gallery_id` is the gallery to move to."""

    gallery_id: Id


class MovesIn(MoveIn):
    photo_ids: PhotoIds


class PhotoResultOut(Schema):
    """What becomes of one of the photos: `deleting`, `moving` or `refused`; `code` and `message` say why."""

    photo_id: UUID
    result: Literal["deleting", "moving", "refused"]
    code: str = ""
    message: str = ""


class PhotoResultsOut(Schema):
    #: In the order of the request; each photo once.
    photos: list[PhotoResultOut]
    #: The job to follow; null when there is none: nothing was done, or one photo is deleted.
    job_id: UUID | None
    #: Not empty when the queue is down: the work is saved, and continues once the queue is back.
    warning: str


class PhotosRetryOut(Schema):
    """`count` photos are sent again, as the job `job_id`; null when there were none."""

    count: int
    job_id: UUID | None
    warning: str


REFUSED: Final = (403, 404, 422)


@router.post("/galleries/{uuid:gallery_id}/photos/delete", response={202: PhotoResultsOut, REFUSED: ProblemOut})
def delete_photos(request: HttpRequest, gallery_id: UUID, data: PhotosIn) -> Status[PhotoResultsOut]:
    """Delete photos. They are hidden at once, and deleted once their vectors are removed: a job if there are several.

    A photo that is not in the gallery is `refused`, and does not keep the others.
    """
    caller, gallery = _editable(request, gallery_id)
    deleted = deleting.photos_delete(gallery=gallery, photo_ids=data.photo_ids, requested_by_id=caller.user.pk)
    problem = not_found("photo")
    results = [
        PhotoResultOut(photo_id=photo_id, result="deleting")
        if photo_id in deleted.photo_ids
        else PhotoResultOut(photo_id=photo_id, result="refused", code=problem.code, message=problem.message)
        for photo_id in dict.fromkeys(data.photo_ids)
    ]
    return Status(202, PhotoResultsOut(photos=results, job_id=_id_of(deleted.job), warning=deleted.warning))


@router.post("/galleries/{uuid:gallery_id}/photos/retry", response={202: PhotosRetryOut, REFUSED: ProblemOut})
def retry_photos(request: HttpRequest, gallery_id: UUID, data: RetryIn) -> Status[PhotosRetryOut]:
    """Send photos again, as a job: those named that were cancelled or may succeed now; by default all that failed.

    A photo whose file is at fault is left out: it would fail again.
    """
    caller, gallery = _editable(request, gallery_id)
    user_id = caller.user.pk
    if data.photo_ids is None:
        job, warning = retrying.failed_photos_retry(gallery=gallery, requested_by_id=user_id)
    else:
        job, warning = retrying.photos_retry(gallery=gallery, photo_ids=data.photo_ids, requested_by_id=user_id)
    return Status(202, PhotosRetryOut(count=job.total if job else 0, job_id=_id_of(job), warning=warning))


@router.post("/galleries/{uuid:gallery_id}/photos/move", response={202: PhotoResultsOut, (*REFUSED, 409): ProblemOut})
def move_photos(request: HttpRequest, gallery_id: UUID, data: MovesIn) -> Status[PhotoResultsOut]:
    """Move photos to another gallery that you may edit, as a job, with the names of their faces.

    Faces keep their ids. Until a photo is indexed again it is in the other gallery and no search finds it. A photo that
    is there already (`already_there`), for which its owner has no room (`quota_photos`, `quota_bytes`) or that is not
    in this gallery (`not_found`) is `refused`, and does not keep the others.
    """
    caller, gallery = _editable(request, gallery_id)
    moved = _moved(caller, gallery, data.gallery_id, data.photo_ids)
    results = [
        PhotoResultOut(photo_id=photo.photo_id, result=photo.result, code=photo.code, message=photo.message)
        for photo in moved.photos
    ]
    return Status(202, PhotoResultsOut(photos=results, job_id=_id_of(moved.job), warning=moved.warning))


@router.post("/photos/{uuid:photo_id}/move", response={202: PhotoStateOut, (*REFUSED, 409): ProblemOut})
def move_photo(request: HttpRequest, photo_id: UUID, data: MoveIn) -> Status[PhotoStateOut]:
    """Move a photo to another gallery that you may edit. Otherwise like moving several."""
    caller = caller_of(request)
    photo = photo_for(caller, photo_id, Level.EDITOR)
    moved = _moved(caller, photo.gallery, data.gallery_id, [photo_id])
    [result] = moved.photos
    if moved.job is None:
        raise Problem(result.code, result.message, status=404 if result.code == "not_found" else 409)
    return Status(
        202, PhotoStateOut(photo_id=photo_id, state=result.result, job_id=moved.job.id, warning=moved.warning)
    )


def _editable(request: HttpRequest, gallery_id: UUID) -> tuple[Caller, Gallery]:
    caller = caller_of(request)
    return caller, gallery_for(caller, gallery_id, Level.EDITOR)


def _moved(caller: Caller, source: Gallery, target_id: UUID, photo_ids: list[UUID]) -> PhotosMoved:
    target = gallery_for(caller, target_id, Level.EDITOR)
    check_take(caller, source, target)
    return photos_move(source=source, target=target, photo_ids=photo_ids, requested_by_id=caller.user.pk)


def _id_of(job: Job | None) -> UUID | None:
    return job.id if job else None

"""The API of searches. Held requests wait on the event loop: no thread, no connection, no transaction."""

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import File, Query, Router, Schema, Status
from ninja.files import UploadedFile

from tasks.messages.search import SearchedFaces
from webapp.accounts.authentication import SessionAuth
from webapp.http.schemas import BoxOut, ErrorOut
from webapp.search.selectors import SearchAnswer, answer_as_json
from webapp.search.services import search_cancel, search_held, search_start, search_wait
from webapp.search.tokens import SearchJob, search_job
from webapp.search.uploads import query_image, use_memory

router = Router(tags=["searches"])

Wait = Annotated[float, Query(ge=0, description="Seconds to hold the request until the answer is there.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most matches per face.")]
Similarity = Annotated[float | None, Query(ge=-1, le=1, description="Weakest match; empty asks for the pack's own.")]


class QuerySessionAuth(SessionAuth):
    """SessionAuth for an operation that takes a query image: its body is parsed into memory only."""

    async def __call__(self, request: HttpRequest) -> Any:
        await use_memory(request)
        return await super().__call__(request)


class MatchOut(Schema):
    """A match. `person` is the face's name, none while it has none."""

    photo: str
    photo_id: UUID
    face_id: UUID
    similarity: float
    person: str | None
    person_id: UUID | None


class QueryFaceOut(Schema):
    """A face of the query image and its matches, best first."""

    box: BoxOut
    score: float
    quality: float
    matches: list[MatchOut]


class AnswerOut(Schema):
    """The answer: the faces of the query image with their matches, or a reason why there are none."""

    faces: list[QueryFaceOut]
    reason: ErrorOut | None


class JobOut(Schema):
    """The search goes on; ask for it under its job id."""

    job: str


ANSWERS: Any = {
    200: AnswerOut,
    202: JobOut,
    (400, 404, 410, 413, 503, 504): ErrorOut,
}


@router.post("/galleries/{uuid:gallery_id}/searches", response=ANSWERS, auth=QuerySessionAuth())
async def start_search(
    request: HttpRequest,
    response: HttpResponse,
    gallery_id: UUID,
    image: File[UploadedFile],
    wait: Wait = 0,
    limit: Limit = 10,
    min_similarity: Similarity = None,
    faces: SearchedFaces = "all",
) -> Status[Any]:
    """Search the gallery for every face of an image, or for its largest.

    The image is kept in memory only, until it is searched.
    """
    user = await request.auser()
    job = await search_start(
        image=query_image(image),
        user=user,
        gallery_id=gallery_id,
        limit=limit,
        min_similarity=min_similarity,
        faces=faces,
    )
    answer = await search_held(job=job, user=user, wait_seconds=wait) if wait else None
    return _status(response, job, answer)


@router.get("/searches/{str:job}", response=ANSWERS)
async def get_search(request: HttpRequest, response: HttpResponse, job: str, wait: Wait = 0) -> Status[Any]:
    """Ask for the answer of a search."""
    user = await request.auser()
    search = search_job(job, user_id=user.pk)
    return _status(response, search, await search_wait(job=search, user=user, wait_seconds=wait))


@router.delete("/searches/{str:job}", response={204: None, 404: ErrorOut})
async def cancel_search(request: HttpRequest, job: str) -> Status[None]:
    """Cancel a search that nobody wants any more. A worker that has begun it finishes it."""
    user = await request.auser()
    await search_cancel(job=search_job(job, user_id=user.pk))
    return Status(204, None)


def _status(response: HttpResponse, job: SearchJob, answer: SearchAnswer | None) -> Status[Any]:
    if answer is not None:
        return Status(200, answer_as_json(answer))
    token = job.to_token()
    response["Location"] = f"/api/v1/searches/{quote(token)}"
    return Status(202, {"job": token})

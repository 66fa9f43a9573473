"""The API for searches, verifications and detections.

Held requests wait on the event loop: no thread, no connection, no transaction.
"""

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from ninja import Field, File, Form, Query, Router, Status
from ninja.files import UploadedFile

from tasks.messages.detect import DetectResult
from tasks.messages.search import SearchedFaces
from tasks.messages.verify import VerifyResult
from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.gallery.selectors import galleries_given
from webapp.http.problems import Problem
from webapp.http.schemas import MatchCount, ProblemOut, Seconds, Similarity
from webapp.search.held import detection_start, verification_start
from webapp.search.schemas import AnswerOut, DetectionOut, TicketOut, VerificationOut
from webapp.search.selectors import SearchAnswer
from webapp.search.services import search_cancel, search_held, search_start, search_wait
from webapp.search.tickets import Ticket, ticket_from
from webapp.search.uploads import forget_image, query_image, use_memory

router = Router(tags=["searches"])

# The defaults are said twice: beside bounds, ninja would lose those of the signature.
Wait = Annotated[Seconds, Query(0, description="Seconds to hold the request while there is no answer yet.")]
Limit = Annotated[MatchCount, Query(10, description="Most matches per face.")]
MinSimilarity = Annotated[
    Similarity | None,
    Query(None, description="Lowest similarity, on the active pack's scale; by default the pack's threshold."),
]
#: Each id makes the ticket, which is part of a URL, some 40 characters longer.
GALLERIES_NAMED = 100
Galleries = Annotated[
    list[UUID],
    Query(max_length=GALLERIES_NAMED, description="Galleries to search; by default all that you may see."),
]


Image = Annotated[UploadedFile | None, File(None, description="The image whose faces are searched for.")]
FaceId = Annotated[
    UUID | None,
    Form(None, description="Instead of an image: a face of a photo that you may see. It is left out of its matches."),
]
#: Of what gives no ticket: a shorter wait than the service's own is the caller's to choose.
HeldSeconds = Annotated[
    Annotated[float, Field(ge=1, le=24 * 3600, allow_inf_nan=False)] | None,
    Query(
        None, description="Most seconds to wait for the answer; by default, and at most, as long as the service may."
    ),
]


#: For operations that take a query image: their body is parsed into memory only.
searching, with_image = Needs(Scope.SEARCH), Needs(Scope.SEARCH, prepare=use_memory)

ANSWERS: Any = {
    200: AnswerOut,
    202: TicketOut,
    (400, 404, 409, 410, 413, 422, 503, 504): ProblemOut,
}
REFUSALS: Any = {(400, 410, 413, 422, 503, 504): ProblemOut}


@router.post("/searches", response=ANSWERS, auth=with_image)
async def start_search(
    request: HttpRequest,
    response: HttpResponse,
    image: Image,
    face_id: FaceId,
    gallery_id: Galleries = [],  # noqa: B006 - ninja copies it
    wait: Wait = 0,
    limit: Limit = 10,
    min_similarity: MinSimilarity = None,
    faces: SearchedFaces = "all",
) -> Status[Any]:
    """Search several galleries, or all that you may see, for every face of an image, or for its largest.

    With `face_id` instead of an image, search for one face of a photo. An image is kept in memory only, until it has
    been searched. A face without matches has a reason: `below_threshold` or `empty_gallery`. An answer without any
    match has one, too; it may also be `no_face`, `face_too_small` or `low_quality`.
    """
    caller = caller_of(request)
    ticket = await search_start(
        query=_query(image, face_id),
        caller=caller,
        gallery_ids=gallery_id or None,
        limit=limit,
        min_similarity=min_similarity,
        faces=faces,
    )
    forget_image(request)
    answer = await search_held(ticket=ticket, caller=caller, wait_seconds=wait) if wait else None
    return _status(response, ticket, answer)


@router.post("/galleries/{uuid:gallery_id}/searches", response=ANSWERS, auth=with_image)
async def start_gallery_search(
    request: HttpRequest,
    response: HttpResponse,
    gallery_id: UUID,
    image: Image,
    face_id: FaceId,
    wait: Wait = 0,
    limit: Limit = 10,
    min_similarity: MinSimilarity = None,
    faces: SearchedFaces = "all",
) -> Status[Any]:
    """Search one gallery. Otherwise like `POST /searches`."""
    return await start_search(
        request,
        response,
        image=image,
        face_id=face_id,
        gallery_id=[gallery_id],
        wait=wait,
        limit=limit,
        min_similarity=min_similarity,
        faces=faces,
    )


@router.get("/searches/{str:ticket}", response=ANSWERS, auth=searching)
async def get_search(request: HttpRequest, response: HttpResponse, ticket: str, wait: Wait = 0) -> Status[Any]:
    """Get the answer to a search."""
    caller = caller_of(request)
    search = ticket_from(ticket, user_id=caller.user.pk)
    return _status(response, search, await search_wait(ticket=search, caller=caller, wait_seconds=wait))


@router.delete("/searches/{str:ticket}", response={204: None, 404: ProblemOut}, auth=searching)
async def cancel_search(request: HttpRequest, ticket: str) -> Status[None]:
    """Cancel a search. A worker that has begun it finishes it."""
    caller = caller_of(request)
    search = ticket_from(ticket, user_id=caller.user.pk)
    await sync_to_async(galleries_given)(caller, search.gallery_ids)  # a key may be limited to others
    await search_cancel(ticket=search)
    return Status(204, None)


@router.post("/verify", response={200: VerificationOut, **REFUSALS}, auth=with_image, tags=["verify and detect"])
async def verify_images(
    request: HttpRequest,
    image: File[UploadedFile],
    other_image: File[UploadedFile],
    min_similarity: MinSimilarity = None,
    wait: HeldSeconds = None,
) -> VerifyResult:
    """Say whether two images show the same person: compare their largest faces.

    Looks into no gallery and keeps nothing. Together the images may be as large as one. Unless the faces are the same,
    there is a reason: `below_threshold`, or what is wrong with the faces of an image.
    """
    held = await verification_start(
        images=(query_image(image), query_image(other_image)),
        caller=caller_of(request),
        min_similarity=min_similarity,
        wait_seconds=wait,
    )
    forget_image(request)
    return await held.finish()


@router.post("/detect", response={200: DetectionOut, **REFUSALS}, auth=with_image, tags=["verify and detect"])
async def detect_faces(request: HttpRequest, image: File[UploadedFile], wait: HeldSeconds = None) -> DetectResult:
    """Find the faces in an image, with their quality. Looks into no gallery and keeps nothing."""
    held = await detection_start(image=query_image(image), caller=caller_of(request), wait_seconds=wait)
    forget_image(request)
    return await held.finish()


def _query(image: UploadedFile | None, face_id: UUID | None) -> bytes | UUID:
    """Return what is searched for. Raises Problem unless it is exactly one thing."""
    if image is not None and face_id is None:
        return query_image(image)
    if face_id is not None and image is None:
        return face_id
    if image is None:
        raise Problem("image_missing", "Please give an image or a face_id, in a form.", status=400)
    raise Problem("invalid_request", "Please give either an image or a face_id, not both.", status=422)


def _status(response: HttpResponse, ticket: Ticket, answer: SearchAnswer | None) -> Status[Any]:
    if answer is not None:
        return Status(200, answer)
    token = ticket.to_token()
    response["Location"] = f"/api/v1/searches/{quote(token)}"
    return Status(202, {"ticket": token})

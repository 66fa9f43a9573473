"""The API for searches. Held requests wait on the event loop: no thread, no connection, no transaction."""

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import File, Query, Router, Status
from ninja.files import UploadedFile

from tasks.messages.search import SearchedFaces
from webapp.accounts.authentication import Needs
from webapp.accounts.callers import Scope, caller_of
from webapp.http.schemas import MatchCount, ProblemOut, Seconds, Similarity
from webapp.search.schemas import AnswerOut, TicketOut
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


#: For operations that take a query image: their body is parsed into memory only.
searching, with_image = Needs(Scope.SEARCH), Needs(Scope.SEARCH, prepare=use_memory)

ANSWERS: Any = {
    200: AnswerOut,
    202: TicketOut,
    (400, 404, 410, 413, 503, 504): ProblemOut,
}


@router.post("/searches", response=ANSWERS, auth=with_image)
async def start_search(
    request: HttpRequest,
    response: HttpResponse,
    image: File[UploadedFile],
    gallery_id: Galleries = [],  # noqa: B006 - ninja copies it
    wait: Wait = 0,
    limit: Limit = 10,
    min_similarity: MinSimilarity = None,
    faces: SearchedFaces = "all",
) -> Status[Any]:
    """Search several galleries, or all that you may see, for every face of an image, or for its largest.

    The image is kept in memory only, until it has been searched.
    """
    caller = caller_of(request)
    ticket = await search_start(
        image=query_image(image),
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
    image: File[UploadedFile],
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
    await search_cancel(ticket=ticket_from(ticket, user_id=caller.user.pk))
    return Status(204, None)


def _status(response: HttpResponse, ticket: Ticket, answer: SearchAnswer | None) -> Status[Any]:
    if answer is not None:
        return Status(200, answer)
    token = ticket.to_token()
    response["Location"] = f"/api/v1/searches/{quote(token)}"
    return Status(202, {"ticket": token})

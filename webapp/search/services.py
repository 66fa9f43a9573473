"""Start a search, wait for it, answer it. Asynchronous: a search that waits holds no thread, no connection and no
transaction.
"""

import asyncio
from collections.abc import Collection
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings

from tasks import clock
from tasks.errors import SearchExpired
from tasks.messages.search import SearchedFaces, SearchResult
from tasks.web.interfaces import Searches
from tasks.web.search_client import search_client
from webapp.accounts.callers import Caller
from webapp.gallery.models import Gallery
from webapp.gallery.selectors import galleries_given
from webapp.generations.faces import face_for
from webapp.http.problems import Problem
from webapp.search.selectors import SearchAnswer, search_answer, searchable_face
from webapp.search.tickets import Ticket
from worker.errors import FaceQueueError


async def search_start(
    *,
    query: bytes | UUID,
    caller: Caller,
    gallery_ids: Collection[UUID | str] | None,
    limit: int = 10,
    min_similarity: float | None = None,
    faces: SearchedFaces = "all",
    timeout_seconds: float | None = None,
    searches: Searches | None = None,
) -> Ticket:
    """Send the query to the search workers: an image, or the id of a stored face.

    Raises Problem: not_found, face_not_indexed, busy, queue_unavailable. `gallery_ids` None stands for all galleries
    that the caller may see, `min_similarity` None for the pack's threshold, `timeout_seconds` None for
    SEARCH_TIMEOUT_SECONDS, and `searches` None for this process's client.
    """
    face_id = query if isinstance(query, UUID) else None
    galleries = await sync_to_async(_searched)(caller, gallery_ids, face_id)
    if timeout_seconds is None:
        timeout_seconds = settings.SEARCH_TIMEOUT_SECONDS
    started = clock.now()
    try:
        search_id = await (searches or search_client()).start_search(
            query,
            gallery_ids=tuple(str(gallery.id) for gallery in galleries),
            limit=limit,
            min_similarity=min_similarity,
            faces=faces,
            timeout_seconds=timeout_seconds,
            client=caller.client,
        )
    except FaceQueueError as error:
        raise Problem.from_error(error) from error
    return Ticket(
        search_id=search_id,
        user_id=str(caller.user.pk),
        gallery_ids=None if gallery_ids is None else tuple(str(gallery.id) for gallery in galleries),
        face_id=None if face_id is None else str(face_id),
        started=started,
        timeout_seconds=timeout_seconds,
    )


def _searched(caller: Caller, gallery_ids: Collection[UUID | str] | None, face_id: UUID | None) -> list[Gallery]:
    """Return the galleries to search. Raises Problem when the caller may not search them, or by this face."""
    if face_id is not None:
        searchable_face(caller, face_id)
    galleries = galleries_given(caller, gallery_ids)
    if not galleries:
        raise Problem("not_found", "There is no gallery to search yet.", status=404)
    return galleries


async def search_wait(*, ticket: Ticket, caller: Caller, wait_seconds: float = 0.0) -> SearchAnswer | None:
    """Wait up to `wait_seconds`, at most SEARCH_MAX_WAIT_SECONDS, for the answer; None when there is none yet.

    Raises Problem: the worker's objection to the image, search_expired, queue_unavailable, not_found.
    """
    wait_seconds = min(wait_seconds, settings.SEARCH_MAX_WAIT_SECONDS)
    return await _answer(ticket, caller, wait_seconds, search_client())


async def search_held(*, ticket: Ticket, caller: Caller, wait_seconds: float) -> SearchAnswer | None:
    """Like `search_wait`, for the request that started the search: when its client goes away, cancel the search.

    Nobody else has the ticket yet, so nobody could ask for the answer.
    """
    try:
        wait_seconds = min(wait_seconds, settings.SEARCH_MAX_WAIT_SECONDS)
        return await _answer_when_there(ticket, caller, wait_seconds, search_client())
    except asyncio.CancelledError:  # Django cancels the view when the client disconnects
        await search_cancel(ticket=ticket)
        raise


async def search_finish(*, ticket: Ticket, caller: Caller, searches: Searches) -> SearchAnswer:
    """Wait until the search is answered. Raises what `search_wait` raises; a caller that is cancelled cancels it."""
    try:
        answer = None
        while answer is None:  # a wait may end a moment before the search expires
            answer = await _answer(ticket, caller, ticket.seconds_left, searches)
        return answer
    except asyncio.CancelledError:
        await search_cancel(ticket=ticket, searches=searches)
        raise


async def search_cancel(*, ticket: Ticket, searches: Searches | None = None) -> None:
    """Cancel a search that no worker has begun. A search that has been answered stays answered."""
    await (searches or search_client()).cancel_search(ticket.search_id)


async def _answer(ticket: Ticket, caller: Caller, wait_seconds: float, searches: Searches) -> SearchAnswer | None:
    # Checked now, and again when there is an answer: a gallery deleted in between is not shown.
    await sync_to_async(galleries_given)(caller, ticket.gallery_ids)
    return await _answer_when_there(ticket, caller, wait_seconds, searches)


async def _answer_when_there(
    ticket: Ticket, caller: Caller, wait_seconds: float, searches: Searches
) -> SearchAnswer | None:
    wait_seconds = max(min(wait_seconds, ticket.seconds_left), 0.0)
    try:
        result = await searches.wait_for_answer(ticket.search_id, SearchResult, timeout_seconds=wait_seconds)
    except FaceQueueError as error:
        raise Problem.from_error(error) from error
    if result is None:
        if ticket.seconds_left <= 0:
            raise Problem.from_error(SearchExpired(_why_expired(ticket)))
        return None
    if result.error is not None:
        raise Problem.from_info(result.error)
    return await sync_to_async(_join)(result, caller, ticket)


def _why_expired(ticket: Ticket) -> str:
    return f"No worker answered this search within {ticket.timeout_seconds:g} s. Please try again."


def _join(result: SearchResult, caller: Caller, ticket: Ticket) -> SearchAnswer:
    stored = None if ticket.face_id is None else face_for(caller, UUID(ticket.face_id))
    return search_answer(result, galleries=galleries_given(caller, ticket.gallery_ids), stored=stored)

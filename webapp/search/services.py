"""Start a search, wait for it, answer it. Asynchronous: while a search waits it holds no thread, no connection
and no transaction.
"""

import asyncio
import time
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings

from tasks.client import face_search
from tasks.errors import SearchExpired
from tasks.messages import SearchedFaces, SearchResult
from webapp.gallery import selectors as gallery_selectors
from webapp.gallery.models import Gallery
from webapp.gallery.selectors import Viewer
from webapp.problems import Problem
from webapp.search.selectors import SearchAnswer, search_answer
from webapp.search.tokens import SearchJob
from worker.errors import FaceQueueError


async def search_start(
    *,
    image: bytes,
    user: Viewer,
    gallery_id: UUID,
    limit: int = 10,
    min_similarity: float | None = None,
    faces: SearchedFaces = "all",
) -> SearchJob:
    """Send the image to the search workers. Raises Problem: not_found, busy, queue_unavailable."""
    gallery = await sync_to_async(gallery_selectors.gallery_for)(user, gallery_id)
    timeout_seconds: float = settings.SEARCH_TIMEOUT_SECONDS
    started = time.time()
    try:
        job_id = await face_search().start_search(
            image,
            gallery_id=str(gallery.id),
            limit=limit,
            min_similarity=min_similarity,
            faces=faces,
            timeout_seconds=timeout_seconds,
        )
    except FaceQueueError as error:
        raise Problem.from_error(error) from error
    return SearchJob(
        job_id=job_id,
        user_id=str(user.pk),
        gallery_id=str(gallery.id),
        started=started,
        timeout_seconds=timeout_seconds,
    )


async def search_wait(*, job: SearchJob, user: Viewer, wait_seconds: float = 0.0) -> SearchAnswer | None:
    """Wait up to `wait_seconds` for the answer; None when there is none yet.

    Raises Problem: what the worker says is wrong with the image, search_expired, queue_unavailable, not_found.
    """
    # Asked now, and again when the answer is there: a gallery deleted meanwhile is not shown.
    await sync_to_async(gallery_selectors.gallery_for)(user, job.gallery_id)
    wait_seconds = min(wait_seconds, settings.SEARCH_MAX_WAIT_SECONDS, job.seconds_left)
    try:
        result = await face_search().wait_for_search(job.job_id, timeout_seconds=max(wait_seconds, 0.0))
    except FaceQueueError as error:
        raise Problem.from_error(error) from error
    if result is None:
        if job.seconds_left <= 0:
            raise Problem.from_error(SearchExpired())
        return None
    if result.error is not None:
        raise Problem.from_info(result.error)
    return await sync_to_async(_join)(result, user, job.gallery_id)


async def search_held(*, job: SearchJob, user: Viewer, wait_seconds: float) -> SearchAnswer | None:
    """As `search_wait`, for the request that started the search: when its client goes away, the search is cancelled.

    Nobody else has the job's token yet, so nobody could ask for the answer.
    """
    try:
        return await search_wait(job=job, user=user, wait_seconds=wait_seconds)
    except asyncio.CancelledError:  # Django cancels the view when the client disconnects
        await search_cancel(job=job)
        raise


async def search_cancel(*, job: SearchJob) -> None:
    """Drop a search that no worker has begun. One that is answered already stays answered."""
    await face_search().cancel_search(job.job_id)


def _join(result: SearchResult, user: Viewer, gallery_id: str) -> SearchAnswer:
    gallery: Gallery = gallery_selectors.gallery_for(user, gallery_id)
    return search_answer(result, gallery=gallery)

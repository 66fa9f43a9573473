"""The search task: thin. It fetches the query image, asks the FaceIndex, and returns a message."""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from celery import Task, shared_task

from tasks import clock, names
from tasks.clock.requests import why_expired
from tasks.context import SENT_AT
from tasks.errors import SearchExpired
from tasks.messages.base import BoxInfo, ErrorInfo
from tasks.messages.parsing import parse
from tasks.messages.search import FaceMatches, Match, SearchRequest, SearchResult
from tasks.worker.state import state
from worker.bulk import why_no_face
from worker.errors import FaceQueueError, NoFaceFound

logger = logging.getLogger(__name__)


@shared_task(name=names.SEARCH_FACES, bind=True, resultrepr_maxsize=1)
def search_faces(self: "Task[Any, Any]", message: dict[str, Any]) -> dict[str, Any]:
    """Answer a SearchRequest with a SearchResult. Errors travel as `error`, never as exceptions."""
    try:
        result = _search(parse(SearchRequest, message), partial(_check_wanted, self.request))
    except FaceQueueError as error:
        logger.info("Search refused: %s", error.code)
        result = SearchResult(error=ErrorInfo(code=error.code, message=str(error)))
    return result.to_json()


def _check_wanted(request: Any) -> None:
    """Raise SearchExpired after the deadline. Celery checks it too, but only before the task begins to wait."""
    if request.expires is None:
        return
    expires = datetime.fromisoformat(request.expires)
    if clock.utcnow() > expires:
        raise SearchExpired.because(why_expired(getattr(request, SENT_AT, None), expires))


def _search(request: SearchRequest, check_wanted: Callable[[], None]) -> SearchResult:
    answer = state.indexes.index(request.target).search(
        state.query_images.get(request.image_key),
        gallery_ids=request.gallery_ids,
        limit=request.limit,
        min_similarity=request.min_similarity,
        faces=request.faces,
        check_wanted=check_wanted,
    )
    state.query_images.discard(request.image_key)
    faces = tuple(
        FaceMatches(
            box=BoxInfo.model_validate(found.face.box, from_attributes=True),
            score=found.face.score,
            quality=found.face.quality,
            matches=tuple(Match.model_validate(match, from_attributes=True) for match in found.matches),
        )
        for found in answer.faces
    )
    reason = None if faces else ErrorInfo(code=NoFaceFound.code, message=why_no_face(answer.rejected))
    return SearchResult(faces=faces, reason=reason, width=answer.width, height=answer.height)

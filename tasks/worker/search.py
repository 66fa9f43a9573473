"""The tasks with query images: thin. Each fetches the images, asks the FaceIndex, and returns a message."""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from celery import Task, shared_task

from tasks import clock, names
from tasks.clock.requests import why_expired
from tasks.context import SENT_AT
from tasks.errors import SearchExpired
from tasks.messages.answers import Answer, RejectedFaceInfo, SeenFace
from tasks.messages.base import BoxInfo, ErrorInfo, Message
from tasks.messages.detect import DetectRequest, DetectResult
from tasks.messages.parsing import parse
from tasks.messages.search import FaceMatches, Match, SearchRequest, SearchResult
from tasks.messages.verify import VerifiedPictureInfo, VerifyRequest, VerifyResult
from tasks.worker.state import state
from worker.errors import FaceQueueError
from worker.queries.answers import Matches, SearchedFace, VerifiedPicture
from worker.recognition.interfaces import Detection, Face, RejectedFace

logger = logging.getLogger(__name__)

#: Raises when nobody wants the answer any more.
CheckWanted = Callable[[], None]
M = TypeVar("M", bound=Message)


@shared_task(name=names.SEARCH_FACES, bind=True, resultrepr_maxsize=1)
def search_faces(self: "Task[Any, Any]", message: dict[str, Any]) -> dict[str, Any]:
    """Answer a SearchRequest with a SearchResult."""
    return _answered(_search, SearchRequest, message, self.request, failed=SearchResult)


@shared_task(name=names.VERIFY_FACES, bind=True, resultrepr_maxsize=1)
def verify_faces(self: "Task[Any, Any]", message: dict[str, Any]) -> dict[str, Any]:
    """Answer a VerifyRequest with a VerifyResult."""
    return _answered(_verify, VerifyRequest, message, self.request, failed=VerifyResult)


@shared_task(name=names.DETECT_FACES, bind=True, resultrepr_maxsize=1)
def detect_faces(self: "Task[Any, Any]", message: dict[str, Any]) -> dict[str, Any]:
    """Answer a DetectRequest with a DetectResult."""
    return _answered(_detect, DetectRequest, message, self.request, failed=DetectResult)


def _answered(
    answer: Callable[[M, CheckWanted], Answer],
    kind: type[M],
    message: dict[str, Any],
    request: Any,
    *,
    failed: Callable[..., Answer],
) -> dict[str, Any]:
    """Return the answer to the message as JSON. Errors travel as its `error`, never as exceptions."""
    try:
        result = answer(parse(kind, message), partial(_check_wanted, request))
    except FaceQueueError as error:
        logger.info("%s refused: %s", kind.__name__, error.code)
        result = failed(error=ErrorInfo(code=error.code, message=str(error)))
    return result.to_json()


def _check_wanted(request: Any) -> None:
    """Raise SearchExpired after the deadline. Celery checks it too, but only before the task begins to wait."""
    if request.expires is None:
        return
    expires = datetime.fromisoformat(request.expires)
    if clock.utcnow() > expires:
        raise SearchExpired.because(why_expired(getattr(request, SENT_AT, None), expires))


def _search(request: SearchRequest, check_wanted: CheckWanted) -> SearchResult:
    index = state.indexes.index(request.target)
    if request.face_id:
        found = index.search_by_face(
            request.face_id,
            gallery_ids=request.gallery_ids,
            limit=request.limit,
            min_similarity=request.min_similarity,
            check_wanted=check_wanted,
        )
        return SearchResult(faces=(_matches(found),), certainties=index.pack.certainties, reason=found.reason)
    answer = index.search(
        state.query_images.get(request.image_key),
        gallery_ids=request.gallery_ids,
        limit=request.limit,
        min_similarity=request.min_similarity,
        faces=request.faces,
        check_wanted=check_wanted,
    )
    state.query_images.discard(request.image_key)
    return SearchResult(
        faces=tuple(_matches(found) for found in answer.faces),
        rejected=tuple(_rejected(face) for face in answer.rejected),
        certainties=index.pack.certainties,
        reason=answer.reason,
        width=answer.width,
        height=answer.height,
    )


def _verify(request: VerifyRequest, check_wanted: CheckWanted) -> VerifyResult:
    first, second = request.image_keys
    verified = state.indexes.index(request.target).verify(
        (state.query_images.get(first), state.query_images.get(second)),
        min_similarity=request.min_similarity,
        check_wanted=check_wanted,
    )
    state.query_images.discard(first, second)
    return VerifyResult(
        similarity=verified.similarity,
        is_same=verified.is_same,
        threshold=verified.threshold,
        pictures=tuple(_picture(each) for each in verified.pictures),
        reason=verified.reason,
    )


def _detect(request: DetectRequest, check_wanted: CheckWanted) -> DetectResult:
    index = state.indexes.index(request.target)
    found = index.detect(state.query_images.get(request.image_key), check_wanted=check_wanted)
    state.query_images.discard(request.image_key)
    return DetectResult(
        faces=tuple(_seen(face.detection, face.quality) for face in found.faces),
        rejected=tuple(_rejected(face) for face in found.rejected),
        reason=found.reason,
        width=found.width,
        height=found.height,
    )


def _matches(found: Matches) -> FaceMatches:
    return FaceMatches(
        face=_seen(found.face, found.face.quality) if isinstance(found, SearchedFace) else None,
        matches=tuple(Match.model_validate(match, from_attributes=True) for match in found.matches),
        reason=found.reason,
    )


def _picture(verified: VerifiedPicture) -> VerifiedPictureInfo:
    face = verified.face
    return VerifiedPictureInfo(
        face=_seen(face, face.quality) if face else None,
        reason=verified.reason,
        width=verified.width,
        height=verified.height,
    )


def _seen(face: Face | Detection, quality: float) -> SeenFace:
    return SeenFace(
        box=BoxInfo.model_validate(face.box, from_attributes=True),
        landmarks=tuple((float(x), float(y)) for x, y in face.landmarks),
        score=face.score,
        quality=quality,
    )


def _rejected(face: RejectedFace) -> RejectedFaceInfo:
    return RejectedFaceInfo(
        box=BoxInfo.model_validate(face.box, from_attributes=True), score=face.score, reason=face.reason
    )

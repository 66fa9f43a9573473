"""The index tasks: thin. They read photos through Django's storage, ask the FaceIndex and report to the records queue.

Both may run twice for the same message: rows are upserted under ids that do not change, deleting is repeatable.
"""

import logging
from functools import partial
from typing import Any

from celery import Task, shared_task
from django.core.files.storage import default_storage

from tasks import metrics, names, queues
from tasks.lifecycle import state
from tasks.messages import (
    BoxInfo,
    ErrorInfo,
    FaceInfo,
    IndexFailure,
    IndexRequest,
    Outcomes,
    PhotoOutcomeInfo,
    PhotoRef,
    Removals,
    RemoveRequest,
)
from tasks.retry import retry_or_raise, will_retry
from tasks.sending import send
from tasks.targets import check_target, parse
from worker.bulk import IndexedFace, PhotoOutcome, PhotoToIndex
from worker.errors import FaceQueueError
from worker.recognition.interfaces import Box

logger = logging.getLogger(__name__)

UNEXPECTED = ErrorInfo(code="internal", message="The worker failed on it unexpectedly; its log says why.")


@shared_task(name=names.INDEX_PHOTOS, bind=True, ignore_result=True)
def index_photos(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Index the chunk of an IndexRequest; one outcome per photo goes to the records worker."""
    try:
        request = parse(IndexRequest, message)
        check_target(request.target)
        with state.starts.running(str(self.request.id), [photo.photo_id for photo in request.photos]) as is_new:
            if not is_new:
                logger.warning("Begun before and never ended: not run again; the sweep sends its photos.")
                return
            outcomes = state.face_index.add([_photo(request.gallery_id, photo) for photo in request.photos])
        metrics.count_photos(outcome.code for outcome in outcomes)
        report = Outcomes(gallery_id=request.gallery_id, outcomes=tuple(map(_outcome_info, outcomes)))
        send(names.RECORD_OUTCOMES, report, queue=queues.RECORDS, ignore_result=True)
    except FaceQueueError as error:
        if not will_retry(self, error):
            _tell_why(message, ErrorInfo(code=error.code, message=str(error)))
        retry_or_raise(self, error)
    except Exception:
        _tell_why(message, UNEXPECTED)
        raise


@shared_task(name=names.REMOVE_PHOTOS, bind=True, ignore_result=True)
def remove_photos(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Delete the faces of a RemoveRequest's photos; when they are read back as gone, the records worker learns it."""
    try:
        request = parse(RemoveRequest, message)
        check_target(request.target)
        state.face_index.remove(gallery_id=request.gallery_id, photo_ids=request.photo_ids)
        report = Removals(photo_ids=request.photo_ids)
        send(names.RECORD_REMOVALS, report, queue=queues.RECORDS, ignore_result=True)
    except FaceQueueError as error:
        retry_or_raise(self, error)


def _tell_why(message: dict[str, Any], error: ErrorInfo) -> None:
    """Tell the records worker the cause, as far as that can be done. The photos stay pending and are sent again."""
    try:
        photo_ids = tuple(photo.photo_id for photo in parse(IndexRequest, message).photos)
        failure = IndexFailure(photo_ids=photo_ids, error=error)
        send(names.RECORD_INDEX_FAILURE, failure, queue=queues.RECORDS, ignore_result=True)
    except FaceQueueError as problem:
        logger.warning("An index task fails (%s) and cannot say so: %s", error.code, problem)


def _read(storage_key: str) -> bytes:
    with default_storage.open(storage_key, "rb") as file:
        data: bytes = file.read()
    return data


def _photo(gallery_id: str, photo: PhotoRef) -> PhotoToIndex:
    return PhotoToIndex(
        photo_id=photo.photo_id,
        gallery_id=gallery_id,
        read=partial(_read, photo.storage_key),
        known_faces={known.face_id: Box(**known.box.model_dump()) for known in photo.known_faces},
    )


def _outcome_info(outcome: PhotoOutcome) -> PhotoOutcomeInfo:
    return PhotoOutcomeInfo(
        photo_id=outcome.photo_id,
        state=outcome.state,
        code=outcome.code,
        message=outcome.message,
        width=outcome.width,
        height=outcome.height,
        image_format=outcome.image_format,
        faces=tuple(map(_face_info, outcome.faces)),
    )


def _face_info(indexed: IndexedFace) -> FaceInfo:
    face = indexed.face
    return FaceInfo(
        face_id=indexed.face_id,
        box=BoxInfo.model_validate(face.box, from_attributes=True),
        landmarks=tuple((float(x), float(y)) for x, y in face.landmarks),
        score=face.score,
        quality=face.quality,
    )

"""The index tasks: thin. They read photos through Django's storage, ask the FaceIndex and report to the records queue.

Both may run twice for the same message: rows are upserted under ids that do not change, deleting is repeatable.
"""

from functools import partial
from typing import Any

from celery import Task, shared_task
from django.core.files.storage import default_storage

from tasks import names, queues
from tasks.lifecycle import state
from tasks.messages import (
    BoxInfo,
    FaceInfo,
    IndexRequest,
    Outcomes,
    PhotoOutcomeInfo,
    PhotoRef,
    Removals,
    RemoveRequest,
)
from tasks.retry import retry_or_raise
from tasks.sending import send
from tasks.targets import check_target, parse
from worker.bulk import IndexedFace, PhotoOutcome, PhotoToIndex
from worker.errors import FaceQueueError
from worker.recognition.interfaces import Box


@shared_task(name=names.INDEX_PHOTOS, bind=True, ignore_result=True)
def index_photos(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Index the chunk of an IndexRequest; one outcome per photo goes to the records worker."""
    try:
        request = parse(IndexRequest, message)
        check_target(request.target)
        outcomes = state.face_index.add([_photo(request.gallery_id, photo) for photo in request.photos])
        report = Outcomes(gallery_id=request.gallery_id, outcomes=tuple(map(_outcome_info, outcomes)))
        send(names.RECORD_OUTCOMES, report, queue=queues.RECORDS, ignore_result=True)
    except FaceQueueError as error:
        retry_or_raise(self, error)


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

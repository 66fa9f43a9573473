"""The index tasks: thin. They read photos through Django's storage, call the FaceIndex, and report to `records`.

Both may run twice for the same message: rows are upserted under stable ids, and removing can be repeated.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from celery import Task, shared_task

from tasks import names, queues
from tasks.health import metrics
from tasks.messages.base import BoxInfo, ErrorInfo
from tasks.messages.indexing import (
    CaptureInfo,
    FaceInfo,
    IndexFailure,
    IndexRequest,
    KnownFace,
    Outcomes,
    PhotoOutcomeInfo,
    PhotoRef,
    Removals,
    RemoveRequest,
)
from tasks.messages.parsing import parse
from tasks.retry import retry_or_raise, will_retry
from tasks.work_queue import work_queue
from tasks.worker.photos.opening import boxes_of, opened, read, save, wanted
from tasks.worker.starts import Verdict
from tasks.worker.state import state
from worker.bulk import IndexedFace, PhotoOutcome, PhotoToIndex
from worker.errors import FaceQueueError, PhotoKillsWorkers, PhotoWithdrawn
from worker.recognition.interfaces import Detection
from worker.renditions import RenditionNames, Renditions

logger = logging.getLogger(__name__)

UNEXPECTED = ErrorInfo(code="internal", message="The worker failed unexpectedly on this photo; its log says why.")


@shared_task(name=names.INDEX_PHOTOS, bind=True, ignore_result=True)
def index_photos(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Index the chunk of an IndexRequest; one outcome per photo goes to the records worker.

    Photos that were withdrawn before they are read cost nothing and have no outcome.
    """
    try:
        request = parse(IndexRequest, message)
        photos = wanted(state.withdrawn, request.gallery_id, request.photos)
        if not photos:
            return
        index = state.indexes.index(request.target)
        detector = index.pack.detector_fingerprint
        with opened(state, str(self.request.id), _suspects(request)) as verdict:
            if verdict is Verdict.BEGUN_BEFORE:
                return
            if verdict is Verdict.GUILTY:
                done = [_guilty(photo) for photo in photos]
            else:
                pause = state.pauses().pause
                done = index.add([_photo(request.gallery_id, photo, detector, pause) for photo in photos])
        outcomes = [outcome for outcome in done if outcome.code != PhotoWithdrawn.code]
        if not outcomes:
            return
        metrics.count_photos(outcome.code for outcome in outcomes)
        report = Outcomes(
            gallery_id=request.gallery_id,
            outcomes=tuple(_outcome_info(outcome, detector) for outcome in outcomes),
            collection=request.target.collection,
        )
        work_queue().send(report, queue=queues.RECORDS)
    except FaceQueueError as error:
        if not will_retry(self, error):
            _report_failure(message, ErrorInfo(code=error.code, message=str(error)))
        retry_or_raise(self, error)
    except Exception:
        _report_failure(message, UNEXPECTED)
        raise


@shared_task(name=names.REMOVE_PHOTOS, bind=True, ignore_result=True)
def remove_photos(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Remove the vectors of a RemoveRequest's photos from every live collection.

    Once they are read back as gone, the records worker is notified.
    """
    try:
        request = parse(RemoveRequest, message)
        for target in request.targets:
            state.indexes.remove(target, gallery_id=request.gallery_id, photo_ids=request.photo_ids)
        report = Removals(gallery_id=request.gallery_id, photo_ids=request.photo_ids)
        work_queue().send(report, queue=queues.RECORDS)
    except FaceQueueError as error:
        retry_or_raise(self, error)


def _report_failure(message: dict[str, Any], error: ErrorInfo) -> None:
    """Report the cause to the records worker if possible. The photos stay pending and are sent again."""
    try:
        request = parse(IndexRequest, message)
        photo_ids = tuple(photo.photo_id for photo in request.photos)
        failure = IndexFailure(photo_ids=photo_ids, error=error, collection=request.target.collection)
        work_queue().send(failure, queue=queues.RECORDS)
    except FaceQueueError as problem:
        logger.warning("An index task failed (%s) and could not report it: %s", error.code, problem)


def _suspects(request: IndexRequest) -> list[str]:
    """Return what `Starts` calls the photos that may kill this worker: one of another generation is another one."""
    return [f"{request.target.collection}:{photo.photo_id}" for photo in request.photos if request.alone]


def _guilty(photo: PhotoRef) -> PhotoOutcome:
    error = PhotoKillsWorkers
    return PhotoOutcome(photo_id=photo.photo_id, state="failed", code=error.code, message=error.sentence)


def _photo(gallery_id: str, photo: PhotoRef, detector: str, pause: Callable[[], None]) -> PhotoToIndex:
    """Return the photo as the FaceIndex takes it, for a worker with this detector; reading it begins with `pause`."""
    return PhotoToIndex(
        photo_id=photo.photo_id,
        gallery_id=gallery_id,
        read=partial(read, state.withdrawn, gallery_id, photo, pause),
        known_faces=boxes_of(photo.known_faces),
        located=_detections(photo.known_faces) if photo.detector == detector else (),
        save=partial(_save, photo.photo_id),
        has_pictures=photo.is_rendered,
    )


def _save(photo_id: str, renditions: Renditions) -> RenditionNames:
    """Save renditions. If the storage fails, the photo is indexed without: `manage.py renditions` makes them."""
    try:
        return save(photo_id, renditions)
    except Exception as error:  # noqa: BLE001  each storage has errors of its own
        logger.warning("The renditions of photo %s could not be stored: %s", photo_id, type(error).__name__)
        return RenditionNames()


def _detections(known_faces: Sequence[KnownFace]) -> list[Detection]:
    """Return the faces as the detector saw them, best score first."""
    boxes = boxes_of(known_faces)
    return [
        Detection(box=boxes[known.face_id], landmarks=np.array(known.landmarks, np.float32), score=known.score)
        for known in sorted(known_faces, key=lambda known: -known.score)
    ]


def _outcome_info(outcome: PhotoOutcome, detector: str) -> PhotoOutcomeInfo:
    return PhotoOutcomeInfo(
        photo_id=outcome.photo_id,
        state=outcome.state,
        code=outcome.code,
        message=outcome.message,
        width=outcome.width,
        height=outcome.height,
        image_format=outcome.image_format,
        capture=CaptureInfo(**asdict(outcome.capture)),
        warning=ErrorInfo.model_validate(outcome.warning, from_attributes=True) if outcome.warning else None,
        renditions=outcome.renditions,
        faces=tuple(map(_face_info, outcome.faces)),
        detector=detector,
    )


def _face_info(indexed: IndexedFace) -> FaceInfo:
    face = indexed.face
    return FaceInfo(
        face_id=indexed.face_id,
        box=BoxInfo.model_validate(face.box, from_attributes=True),
        landmarks=tuple((float(x), float(y)) for x, y in face.landmarks),
        score=face.score,
        quality=face.quality,
        crop=indexed.crop,
    )

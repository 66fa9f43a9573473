"""The tasks that compare a collection with the database, and measure live searches. Thin; may run twice."""

from itertools import islice
from typing import Any, Final

import redis
from celery import Task, shared_task

from tasks import names, queues
from tasks.config import worker_cache
from tasks.health import live_recall
from tasks.messages.consistency import Checked, CheckRequest, OrphanInfo, RecallSample, StrayRequest
from tasks.messages.parsing import parse
from tasks.retry import retry_or_raise
from tasks.work_queue import work_queue
from tasks.worker.state import state
from worker.canary import CANARY_GALLERY_ID, count_users_faces
from worker.errors import FaceQueueError

#: Most orphans in one answer: it stays small, and the next check reports the rest.
MOST_ORPHANS: Final = 1000


@shared_task(name=names.CHECK_FACES, bind=True, ignore_result=True)
def check_faces(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Compare the collection with a CheckRequest and report the differences to the records worker."""
    # Imported here: beat and Flower import every task module, and must not load a model library.
    from worker.vector_search.consistency import compare_faces, write_once

    try:
        request = parse(CheckRequest, message)
        store = state.indexes.store(request.target)
        found = compare_faces(
            store, gallery_id=request.gallery_id, first=request.first, last=request.last, known=request.face_ids
        )
        if request.repairs and found.duplicated:
            write_once(store, gallery_id=request.gallery_id, faces=found.duplicated)
        checked = Checked(
            collection=request.target.collection,
            run_id=request.run_id,
            known_at=request.known_at,
            gallery_id=request.gallery_id,
            first=request.first,
            last=request.last,
            face_count=len(request.face_ids) - len(found.missing) + len(found.orphaned),
            missing=found.missing,
            orphaned=tuple(
                OrphanInfo(face_id=face.face_id, photo_id=face.photo_id, gallery_id=request.gallery_id)
                for face in found.orphaned[:MOST_ORPHANS]
            ),
            duplicated=tuple(face.face_id for face in found.duplicated),
        )
        work_queue().send(checked, queue=queues.RECORDS)
    except FaceQueueError as error:
        retry_or_raise(self, error)


@shared_task(name=names.FIND_STRAYS, bind=True, ignore_result=True)
def find_strays(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Look through all rows for the faces of a StrayRequest; when the counts agree there are none."""
    try:
        request = parse(StrayRequest, message)
        store = state.indexes.store(request.target)
        known = {*request.gallery_ids, CANARY_GALLERY_ID}
        orphaned: tuple[OrphanInfo, ...] = ()
        if count_users_faces(store) > request.face_count:
            strays = (row for row in store.iterate() if row.gallery_id not in known)
            orphaned = tuple(
                OrphanInfo(face_id=row.face_id, photo_id=row.photo_id, gallery_id=row.gallery_id)
                for row in islice(strays, MOST_ORPHANS)
            )
        checked = Checked(
            collection=request.target.collection,
            run_id=request.run_id,
            known_at=request.known_at,
            face_count=len(orphaned),
            orphaned=orphaned,
        )
        work_queue().send(checked, queue=queues.RECORDS)
    except FaceQueueError as error:
        retry_or_raise(self, error)


# Not retried: the next sample comes soon.
@shared_task(name=names.SAMPLE_RECALL, ignore_result=True, throws=(FaceQueueError, redis.RedisError))
def sample_recall(message: dict[str, Any]) -> None:
    """Measure the match recall of this process' recent searches and publish it in redis-cache."""
    target = parse(RecallSample, message).target
    if recalls := state.indexes.measure_live(target):
        with worker_cache() as cache:
            live_recall.publish(cache, target.collection, recalls)

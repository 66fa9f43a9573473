"""The tasks that fill, measure and drop a generation: thin. They may run twice for the same message."""

import time
from typing import Any

from celery import Task, shared_task

from tasks import names, queues
from tasks.messages.generations import Copied, CopyRequest, Dropped, DropRequest, Measured, MeasureRequest
from tasks.messages.parsing import parse
from tasks.messages.search import Match
from tasks.retry import retry_or_raise
from tasks.work_queue import work_queue
from tasks.worker.state import state
from worker.canary import CANARY_GALLERY_ID, count_users_faces
from worker.errors import FaceQueueError

#: How many neighbours of a face are compared between two generations.
NEIGHBOURS = 10


@shared_task(name=names.COPY_FACES, bind=True, ignore_result=True)
def copy_faces(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Copy the embeddings of a CopyRequest's photos; report to the records worker how many faces there are now."""
    # Imported here: beat and Flower import every task module, and must not load a model library.
    from worker.vector_search import copying

    try:
        request = parse(CopyRequest, message)
        source, target = state.indexes.store(request.source), state.indexes.store(request.target)
        count = copying.copy_faces(
            source, target, gallery_id=request.gallery_id, first=request.first, last=request.last
        )
        copied = Copied(
            collection=request.target.collection,
            source=request.source.collection,
            gallery_id=request.gallery_id,
            first=request.first,
            last=request.last,
            face_count=count,
        )
        work_queue().send(copied, queue=queues.RECORDS)
    except FaceQueueError as error:
        retry_or_raise(self, error)


@shared_task(name=names.MEASURE_COLLECTION, bind=True, ignore_result=True)
def measure_collection(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Count the faces of a MeasureRequest's collection, measure its match recall, and find neighbours."""
    from worker.vector_search.recall.measured import gate_match_recall

    try:
        request = parse(MeasureRequest, message)
        index, store = state.indexes.index(request.target), state.indexes.bare_store(request.target)
        began = time.monotonic()
        measured = Measured(
            collection=request.target.collection,
            run_id=request.run_id,
            face_count=count_users_faces(store),
            match_recall=gate_match_recall(
                store, min_similarity=state.indexes.pack.match_cosine, ignored={CANARY_GALLERY_ID}
            ),
            neighbours={
                face_id: tuple(Match.model_validate(match, from_attributes=True) for match in matches)
                for gallery_id, face_ids in request.face_ids.items()
                for face_id, matches in index.neighbours(
                    gallery_id=gallery_id, face_ids=face_ids, limit=NEIGHBOURS
                ).items()
            },
            seconds=time.monotonic() - began,
        )
        work_queue().send(measured, queue=queues.RECORDS)
    except FaceQueueError as error:
        retry_or_raise(self, error)


@shared_task(name=names.DROP_COLLECTION, bind=True, ignore_result=True)
def drop_collection(self: "Task[Any, Any]", message: dict[str, Any]) -> None:
    """Drop the collection of a DropRequest."""
    try:
        request = parse(DropRequest, message)
        state.indexes.drop(request.target)
        dropped = Dropped(collection=request.target.collection)
        work_queue().send(dropped, queue=queues.RECORDS)
    except FaceQueueError as error:
        retry_or_raise(self, error)

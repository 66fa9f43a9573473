"""Bulk work for the workers: called by services after commit, from synchronous code. Sends tasks by name."""

from collections.abc import Sequence

from tasks import names, queues
from tasks.messages.base import Target
from tasks.messages.consistency import CheckRequest, RecallSample, StrayRequest
from tasks.messages.generations import CopyRequest, DropRequest, MeasureRequest
from tasks.messages.indexing import IndexRequest, PhotoRef, RemoveRequest
from tasks.sending import send


def enqueue_index(*, target: Target, gallery_id: str, photos: Sequence[PhotoRef], queue: str) -> None:
    """Ask the queue's workers, of the target's pack, for one chunk of photos. Raises QueueUnavailable."""
    request = IndexRequest(target=target, gallery_id=gallery_id, photos=tuple(photos))
    send(names.INDEX_PHOTOS, request, queue=queue, ignore_result=True)


def enqueue_removal(*, targets: Sequence[Target], gallery_id: str, photo_ids: Sequence[str]) -> None:
    """Ask an index worker of the first target's pack to delete the faces of these photos from all targets.

    Raises QueueUnavailable.
    """
    request = RemoveRequest(targets=tuple(targets), gallery_id=gallery_id, photo_ids=tuple(photo_ids))
    send(names.REMOVE_PHOTOS, request, queue=queues.index_queue(targets[0].pack), ignore_result=True)


def enqueue_copy(request: CopyRequest) -> None:
    """Ask a re-index worker to copy a range of photos. Raises QueueUnavailable."""
    send(names.COPY_FACES, request, queue=queues.reindex_queue(request.target.pack), ignore_result=True)


def enqueue_measurement(request: MeasureRequest, *, queue: str) -> None:
    """Ask the queue's workers, of the target's pack, to measure a collection. Raises QueueUnavailable."""
    send(names.MEASURE_COLLECTION, request, queue=queue, ignore_result=True)


def enqueue_drop(request: DropRequest, *, pack: str) -> None:
    """Ask an index worker of `pack` to delete a collection. Raises QueueUnavailable."""
    send(names.DROP_COLLECTION, request, queue=queues.index_queue(pack), ignore_result=True)


def enqueue_check(request: CheckRequest | StrayRequest, *, expires_seconds: float) -> None:
    """Ask a re-index worker to compare a collection with the database, within this time. Raises QueueUnavailable."""
    name = names.CHECK_FACES if isinstance(request, CheckRequest) else names.FIND_STRAYS
    queue = queues.reindex_queue(request.target.pack)
    send(name, request, queue=queue, ignore_result=True, expires=expires_seconds)


def enqueue_recall_sample(sample: RecallSample, *, expires_seconds: float) -> None:
    """Ask a search worker what its searches have lost lately. Raises QueueUnavailable."""
    queue = queues.search_queue(sample.target.pack)
    send(names.SAMPLE_RECALL, sample, queue=queue, ignore_result=True, expires=expires_seconds)

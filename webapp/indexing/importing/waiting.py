"""Waiting for the outcomes of an import."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from webapp.gallery.chunks import chunks
from webapp.gallery.models import Photo
from webapp.gallery.selectors import IDS_PER_QUERY
from webapp.indexing.activity import index_workers, is_a_worker_alive
from webapp.jobs.models import Job
from webapp.jobs.selectors import progress_of
from webapp.jobs.services import job_is_saved

POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the photos are that somebody waits for."""

    pending: int
    failed: int
    #: None while that cannot be told.
    seconds_left: float | None
    #: How long ago the last photo settled, or the wait began.
    still_seconds: float


def outcomes_wait(
    *, job: Job, others: Sequence[UUID], timeout_seconds: float, tell: Callable[[Standing], None]
) -> Standing:
    """Wait until no photo of the job is pending, and none of the `others`, which an earlier job has added.

    Gives up, with photos pending, when none has settled for `timeout_seconds` and no worker is alive that could index
    them. `tell` is called with every look at them.
    """
    others, changed_at, last = _pending(others), time.monotonic(), -1
    while True:
        progress = progress_of(job) if job_is_saved(job) else None
        pending = len(others) + (progress.pending if progress else 0)
        if pending != last:
            changed_at, last = time.monotonic(), pending
        standing = Standing(
            pending=pending,
            failed=progress.failed if progress else 0,
            seconds_left=progress.seconds_left if progress else None,
            still_seconds=time.monotonic() - changed_at,
        )
        tell(standing)
        if not pending or (standing.still_seconds > timeout_seconds and not is_a_worker_alive()):
            return standing
        time.sleep(POLL_SECONDS)
        others = _pending(others)


def workers_sentence() -> str:
    """Say how the workers are that index photos."""
    workers = index_workers()
    if not workers:
        return "No index worker is alive."
    ill = [worker for worker in workers if not worker.is_healthy]
    if len(ill) == len(workers):
        return f"No index worker is healthy: {ill[0].problem or 'it does not say why'}"
    busy = sum(bool(worker.active_tasks) for worker in workers)
    return f"Index workers: {len(workers)} alive, {busy} busy."


def _pending(photo_ids: Sequence[UUID]) -> list[UUID]:
    pending = Photo.objects.filter(state=Photo.State.PENDING)
    return [
        photo_id
        for ids in chunks(photo_ids, IDS_PER_QUERY)
        for photo_id in pending.filter(id__in=ids).values_list("id", flat=True)
    ]

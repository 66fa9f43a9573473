"""The workers that photos need: code that waits for photos asks before it gives up."""

from tasks import queues
from tasks.health.reports import WorkerReport
from tasks.work_queue import work_queue
from webapp.generations.selectors import live_targets


def is_a_worker_busy() -> bool:
    """Return whether a healthy index or records worker is running a task, even for photos queued earlier."""
    return any(worker.is_healthy and worker.active_tasks for worker in [*index_workers(), *_records_workers()])


def is_a_worker_alive() -> bool:
    """Return whether an index worker is alive, healthy or not, or a records worker is busy with what is left."""
    return bool(index_workers()) or any(worker.active_tasks for worker in _records_workers())


def index_workers() -> list[WorkerReport]:
    """Return the reports of the index workers that are alive, of the packs of all live generations."""
    wanted = {queues.index_queue(pack) for pack in live_targets().packs}
    return [worker for worker in work_queue().worker_reports() if not wanted.isdisjoint(worker.queues)]


def _records_workers() -> list[WorkerReport]:
    return [worker for worker in work_queue().worker_reports() if queues.RECORDS in worker.queues]

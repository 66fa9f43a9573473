"""Whether workers are busy with photos: code that waits for photos asks before it gives up."""

from tasks import queues
from tasks.work_queue import work_queue
from webapp.generations.selectors import live_targets


def is_a_worker_busy() -> bool:
    """Return whether a healthy index or records worker is running a task, even for photos queued earlier."""
    settling = {*(queues.index_queue(pack) for pack in live_targets().packs), queues.RECORDS}
    return any(
        worker.is_healthy and worker.active_tasks and not settling.isdisjoint(worker.queues)
        for worker in work_queue().worker_reports()
    )

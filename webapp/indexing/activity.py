"""Is somebody at work on photos? What waits for them asks before it gives up."""

from tasks import queues
from tasks.health.reports import published_reports
from webapp.generations.selectors import live_targets


def is_a_worker_busy() -> bool:
    """Tell whether a healthy worker that settles photos runs a task now, be it for photos that were queued earlier."""
    settling = {*(queues.index_queue(pack) for pack in live_targets().packs), queues.RECORDS}
    return any(
        worker.is_healthy and worker.active_tasks and not settling.isdisjoint(worker.queues)
        for worker in published_reports()
    )

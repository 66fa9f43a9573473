"""Asking workers for the match recall of live searches."""

from django.conf import settings

from tasks.messages.consistency import RecallSample
from tasks.queues import search_queue
from tasks.work_queue import work_queue
from webapp.generations import selectors


def recall_ask() -> None:
    """Ask the search workers of every live collection what their searches have missed. Raises QueueUnavailable."""
    served = {queue for report in work_queue().worker_reports() for queue in report.queues}
    for generation in selectors.live_generations():
        queue = search_queue(generation.pack)
        if queue in served:
            sample = RecallSample(target=generation.target)
            work_queue().send(sample, queue=queue, expires_seconds=settings.RECALL_INTERVAL_SECONDS)

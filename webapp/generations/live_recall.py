"""Asking workers for the match recall of live searches."""

from django.conf import settings

from tasks.health.reports import published_reports
from tasks.messages.consistency import RecallSample
from tasks.queues import search_queue
from tasks.web import bulk
from webapp.generations import selectors


def recall_ask() -> None:
    """Ask the search workers of every live collection what their searches have lost. Raises QueueUnavailable."""
    served = {queue for report in published_reports() for queue in report.queues}
    for generation in selectors.live_generations():
        if search_queue(generation.pack) in served:
            sample = RecallSample(target=generation.target)
            bulk.enqueue_recall_sample(sample, expires_seconds=settings.RECALL_INTERVAL_SECONDS)

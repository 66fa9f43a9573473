"""The match recall of generations that are searched: measured the way the gates do, after each change and regularly."""

from datetime import timedelta
from typing import Final
from uuid import uuid4

from django.db import transaction
from django.db.models import Q

from tasks import clock
from tasks.errors import QueueUnavailable
from tasks.messages.generations import MeasureRequest
from tasks.queues import index_queue
from tasks.work_queue import work_queue
from webapp.generations.measuring import AGAIN_SECONDS, PAUSE_FACTOR, is_lost
from webapp.generations.models import Generation, Trial
from webapp.generations.searched import trials

#: Seconds between measurements while nothing has changed. The recall of an index drifts as photos are added, over days
#: and not minutes; and a measurement reads every row of the collection.
RENEWED_SECONDS: Final = 3600.0


def searched_recall_tick() -> None:
    """Settle the trials whose recall is known, and ask for the measurements that are due. Raises QueueUnavailable.

    None is requested while no worker consumes the pack's index queue.
    """
    trials.trials_settle()
    is_on_trial = Q(latest_trial__state=Trial.State.RUNNING)
    searched = Generation.objects.filter(Q(state=Generation.State.ACTIVE) | is_on_trial, is_dropping=False)
    due = [generation for generation in searched if _is_due(generation)]
    served = {queue for report in work_queue().worker_reports() for queue in report.queues} if due else set()
    for generation in due:
        if index_queue(generation.pack) in served:
            _measurement_start(generation)


def _is_due(generation: Generation) -> bool:
    if generation.measured_at is None:
        return True
    age = clock.utcnow() - generation.measured_at
    if (answer := generation.searched_answer) is not None:
        # There may be faces by now where there were none.
        patience_seconds = AGAIN_SECONDS if answer["match_recall"] is None else RENEWED_SECONDS
        return age > timedelta(seconds=max(patience_seconds, PAUSE_FACTOR * answer["seconds"]))
    return is_lost(generation.measured_at, index_queue(generation.pack))


def _measurement_start(generation: Generation) -> None:
    """Ask an index worker to measure the generation's collection, as it is searched now. Raises QueueUnavailable."""
    with transaction.atomic(durable=True):
        # Read again: its search parameters may just have been changed, and this run is for the new ones.
        found = Generation.objects.select_for_update().get(pk=generation.pk)
        found.measuring, found.measured_at = str(uuid4()), clock.utcnow()
        found.save(update_fields=["measuring", "measured_at"])
    request = MeasureRequest(target=found.target, run_id=found.measuring)
    try:
        work_queue().send(request, queue=index_queue(found.pack))
    except QueueUnavailable:
        Generation.objects.filter(measuring=request.run_id).update(measured_at=None)  # the next tick asks again
        raise

"""The beat schedule, all of it. Two beats at once do no harm: every task here may run twice."""

from typing import Any, Final

from django.conf import settings

from tasks import names, queues
from tasks.dictionaries import pack_name
from tasks.health.canaries import LATE_INTERVALS

#: Seconds between sweeps for photos without an outcome.
SWEEP_INTERVAL_SECONDS: Final = 10.0
#: Seconds between sending photos that wait for room in the index queue.
FEED_INTERVAL_SECONDS: Final = 2.0
#: Seconds between steps of filling and measuring generations.
ADVANCE_INTERVAL_SECONDS: Final = 2.0
#: Seconds between checks of whether the match recall of searched generations is due to be measured, or has been.
WATCH_INTERVAL_SECONDS: Final = 5.0
#: Seconds between deletions of people whose last face is gone. They are hidden at once.
TIDY_INTERVAL_SECONDS: Final = 60.0
#: Seconds between deletions of expired sessions, and of answers kept for repeated requests.
PURGE_INTERVAL_SECONDS: Final = 3600.0
#: Seconds between deletions of jobs that ended long ago.
PURGE_JOBS_INTERVAL_SECONDS: Final = 24 * 3600.0
#: Seconds between counts of what every user has.
RECOUNT_INTERVAL_SECONDS: Final = 24 * 3600.0


def _tick(task: str, interval_seconds: float) -> dict[str, Any]:
    """Return the entry of a task of the records worker.

    A tick that has waited longer than its interval is useless: the next one does the same.
    """
    options = {"queue": queues.RECORDS, "expires": interval_seconds, "priority": int(queues.Priority.NORMAL)}
    return {"task": task, "schedule": interval_seconds, "options": options}


BEAT_SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "feed-index-queue": _tick(names.FEED_INDEX_QUEUE, FEED_INTERVAL_SECONDS),
    "requeue-stale-photos": _tick(names.REQUEUE_STALE_PHOTOS, SWEEP_INTERVAL_SECONDS),
    "advance-generations": _tick(names.ADVANCE_GENERATIONS, ADVANCE_INTERVAL_SECONDS),
    "watch-match-recall": _tick(names.WATCH_MATCH_RECALL, WATCH_INTERVAL_SECONDS),
    "delete-faceless-people": _tick(names.DELETE_FACELESS_PEOPLE, TIDY_INTERVAL_SECONDS),
    "purge-sessions": _tick(names.PURGE_SESSIONS, PURGE_INTERVAL_SECONDS),
    "purge-answers": _tick(names.PURGE_ANSWERS, PURGE_INTERVAL_SECONDS),
    "purge-jobs": _tick(names.PURGE_JOBS, PURGE_JOBS_INTERVAL_SECONDS),
    "recount-usage": _tick(names.RECOUNT_USAGE, RECOUNT_INTERVAL_SECONDS),
}


def beat_schedule() -> dict[str, dict[str, Any]]:
    """Return BEAT_SCHEDULE plus what the settings turn on: measuring live searches, and a canary for each queue."""
    return (
        BEAT_SCHEDULE | _recall_samples(settings.RECALL_INTERVAL_SECONDS) | _canaries(settings.CANARY_INTERVAL_SECONDS)
    )


def _recall_samples(interval_seconds: float) -> dict[str, dict[str, Any]]:
    if not interval_seconds:
        return {}
    return {"ask-for-recall": _tick(names.ASK_FOR_RECALL, interval_seconds)}


def _canaries(interval_seconds: float) -> dict[str, dict[str, Any]]:
    if not interval_seconds:
        return {}
    sent = dict.fromkeys(queues.gpu_queues(pack_name()), names.CANARY)
    sent[queues.RECORDS] = names.RECORDS_CANARY  # it reads the database, which `tasks` cannot
    return {
        f"canary-{queue}": {
            "task": name,
            "args": [queue],
            "schedule": interval_seconds,
            # It may wait in a long queue until it counts as late.
            "options": {"queue": queue, "expires": LATE_INTERVALS * interval_seconds},
        }
        for queue, name in sent.items()
    }

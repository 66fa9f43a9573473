"""The beat schedule, all of it. Two beats at once do no harm: every task here may run twice."""

from typing import Any, Final

from django.conf import settings

from tasks import names, queues
from tasks.dictionaries import pack_name
from tasks.health.canaries import LATE_INTERVALS

#: How often photos without an outcome are looked for, in seconds.
SWEEP_INTERVAL_SECONDS: Final = 10.0
#: How often photos that wait for room in the index queue are sent, in seconds.
FEED_INTERVAL_SECONDS: Final = 2.0
#: How often generations are filled and measured, in seconds.
ADVANCE_INTERVAL_SECONDS: Final = 2.0
#: How often people whose last face is gone are deleted, in seconds. They are hidden at once.
TIDY_INTERVAL_SECONDS: Final = 60.0
#: How often sessions that have ended are deleted, in seconds.
PURGE_INTERVAL_SECONDS: Final = 3600.0
#: How often jobs that ended long ago are deleted, in seconds.
PURGE_JOBS_INTERVAL_SECONDS: Final = 24 * 3600.0


def _tick(task: str, interval_seconds: float) -> dict[str, Any]:
    """Return the entry of a task of the records worker.

    A tick that waited longer than an interval is of no use: the next one does the same.
    """
    options = {"queue": queues.RECORDS, "expires": interval_seconds}
    return {"task": task, "schedule": interval_seconds, "options": options}


BEAT_SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "feed-index-queue": _tick(names.FEED_INDEX_QUEUE, FEED_INTERVAL_SECONDS),
    "requeue-stale-photos": _tick(names.REQUEUE_STALE_PHOTOS, SWEEP_INTERVAL_SECONDS),
    "advance-generations": _tick(names.ADVANCE_GENERATIONS, ADVANCE_INTERVAL_SECONDS),
    "delete-faceless-people": _tick(names.DELETE_FACELESS_PEOPLE, TIDY_INTERVAL_SECONDS),
    "purge-sessions": _tick(names.PURGE_SESSIONS, PURGE_INTERVAL_SECONDS),
    "purge-jobs": _tick(names.PURGE_JOBS, PURGE_JOBS_INTERVAL_SECONDS),
}


def beat_schedule() -> dict[str, dict[str, Any]]:
    """Return BEAT_SCHEDULE with what the settings turn on: measuring live searches, a canary for each queue."""
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
    sent[queues.RECORDS] = names.RECORDS_CANARY  # it reads the database, of which `tasks` knows nothing
    return {
        f"canary-{queue}": {
            "task": name,
            "args": [queue],
            "schedule": interval_seconds,
            # As long as nobody misses it: it may come through a long queue.
            "options": {"queue": queue, "expires": LATE_INTERVALS * interval_seconds},
        }
        for queue, name in sent.items()
    }

"""The beat schedule, all of it. Two beats at once do no harm: every task here may run twice."""

from typing import Any, Final

from django.conf import settings

from tasks import names, queues
from tasks.canary import LATE_INTERVALS

#: How often photos without an outcome are looked for, in seconds.
SWEEP_INTERVAL_SECONDS: Final = 10.0
#: How often photos that wait for room in the index queue are sent, in seconds.
FEED_INTERVAL_SECONDS: Final = 2.0
#: How often generations are filled and measured, in seconds.
ADVANCE_INTERVAL_SECONDS: Final = 2.0
#: How often sessions that have ended are deleted, in seconds.
PURGE_INTERVAL_SECONDS: Final = 3600.0
#: How often jobs that ended long ago are deleted, in seconds.
PURGE_JOBS_INTERVAL_SECONDS: Final = 24 * 3600.0

BEAT_SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "feed-index-queue": {
        "task": names.FEED_INDEX_QUEUE,
        "schedule": FEED_INTERVAL_SECONDS,
        "options": {"queue": queues.RECORDS, "expires": FEED_INTERVAL_SECONDS},
    },
    "requeue-stale-photos": {
        "task": names.REQUEUE_STALE_PHOTOS,
        "schedule": SWEEP_INTERVAL_SECONDS,
        # A tick that waited longer than an interval is of no use: the next one does the same.
        "options": {"queue": queues.RECORDS, "expires": SWEEP_INTERVAL_SECONDS},
    },
    "advance-generations": {
        "task": names.ADVANCE_GENERATIONS,
        "schedule": ADVANCE_INTERVAL_SECONDS,
        "options": {"queue": queues.RECORDS, "expires": ADVANCE_INTERVAL_SECONDS},
    },
    "purge-sessions": {
        "task": names.PURGE_SESSIONS,
        "schedule": PURGE_INTERVAL_SECONDS,
        "options": {"queue": queues.RECORDS, "expires": PURGE_INTERVAL_SECONDS},
    },
    "purge-jobs": {
        "task": names.PURGE_JOBS,
        "schedule": PURGE_JOBS_INTERVAL_SECONDS,
        "options": {"queue": queues.RECORDS, "expires": PURGE_JOBS_INTERVAL_SECONDS},
    },
}


def beat_schedule() -> dict[str, dict[str, Any]]:
    """Return BEAT_SCHEDULE with what the settings turn on: measuring live searches, a canary for each queue."""
    return (
        BEAT_SCHEDULE | _recall_samples(settings.RECALL_INTERVAL_SECONDS) | _canaries(settings.CANARY_INTERVAL_SECONDS)
    )


def _recall_samples(interval_seconds: float) -> dict[str, dict[str, Any]]:
    if not interval_seconds:
        return {}
    entry = {
        "task": names.ASK_FOR_RECALL,
        "schedule": interval_seconds,
        "options": {"queue": queues.RECORDS, "expires": interval_seconds},
    }
    return {"ask-for-recall": entry}


def _canaries(interval_seconds: float) -> dict[str, dict[str, Any]]:
    if not interval_seconds:
        return {}
    sent = dict.fromkeys(queues.gpu_queues(settings.PACK_NAME), names.CANARY)
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

"""The beat schedule, all of it."""

from typing import Any, Final

from tasks import names, queues

#: How often photos without an outcome are looked for, in seconds.
SWEEP_INTERVAL_SECONDS: Final = 10.0

BEAT_SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "requeue-stale-photos": {
        "task": names.REQUEUE_STALE_PHOTOS,
        "schedule": SWEEP_INTERVAL_SECONDS,
        # A tick that waited longer than an interval is of no use: the next one does the same.
        "options": {"queue": queues.RECORDS, "expires": SWEEP_INTERVAL_SECONDS},
    },
}

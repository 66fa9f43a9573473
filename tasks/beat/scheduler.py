"""Beat's scheduler: Celery's, but it skips a tick that its queue could not run in time."""

import logging
import time
from typing import Any, Final

from celery.beat import PersistentScheduler, ScheduleEntry

from tasks.errors import QueueUnavailable
from tasks.health.inspection import queue_statuses

logger = logging.getLogger(__name__)

#: Minimum seconds between log lines about skipped ticks.
LOG_INTERVAL_SECONDS: Final = 300.0


class BoundedScheduler(PersistentScheduler):
    """Skips a tick when the oldest message in its queue has waited longer than the tick may wait.

    Nothing removes expired messages from a queue without a worker: ticks would pile up in Redis until one comes back.
    A skipped tick would have expired before its turn.
    """

    _logged_at = float("-inf")  # time.monotonic()

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        if self._is_too_late(entry):
            return None
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)

    def _is_too_late(self, entry: ScheduleEntry) -> bool:
        options = entry.options or {}
        if "expires" not in options:
            return False
        try:
            [status] = queue_statuses([options["queue"]])
        except QueueUnavailable:
            return False  # sending the tick will report this
        oldest_seconds = status.oldest_seconds or 0.0
        if oldest_seconds <= options["expires"]:
            return False
        if time.monotonic() - self._logged_at > LOG_INTERVAL_SECONDS:
            self._logged_at = time.monotonic()
            logger.warning(
                "Skipped %s: the queue %s is %.0f s behind.",
                entry.name,
                status.name,
                oldest_seconds,
            )
        return True

"""Beat's clock: Celery's own, but it sends nothing to a queue that would not come to it in time."""

import logging
import time
from typing import Any, Final

from celery.beat import PersistentScheduler, ScheduleEntry

from tasks.errors import QueueUnavailable
from tasks.health.inspection import queue_statuses

logger = logging.getLogger(__name__)

#: How often at most a tick that was left out is told, in seconds.
TOLD_EVERY_SECONDS: Final = 300.0


class BoundedScheduler(PersistentScheduler):
    """Leaves out a tick whose queue's oldest message has waited longer than the tick may.

    Nobody takes what has expired out of a queue without a worker: ticks would pile up in Redis for as long as the
    worker is away. A tick that is left out would have expired before its turn.
    """

    _told_at = float("-inf")  # time.monotonic()

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        if self._comes_too_late(entry):
            return None
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)

    def _comes_too_late(self, entry: ScheduleEntry) -> bool:
        options = entry.options or {}
        if "expires" not in options:
            return False
        try:
            [status] = queue_statuses([options["queue"]])
        except QueueUnavailable:
            return False  # sending says so
        oldest_seconds = status.oldest_seconds or 0.0
        if oldest_seconds <= options["expires"]:
            return False
        if time.monotonic() - self._told_at > TOLD_EVERY_SECONDS:
            self._told_at = time.monotonic()
            logger.warning("Not sent: %s. The queue %s has waited for %.0f s.", entry.name, status.name, oldest_seconds)
        return True

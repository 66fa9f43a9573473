"""Beat's scheduler: Celery's by the shared clock, but it skips a tick that its queue could not run in time."""

import logging
import time
from contextlib import ExitStack
from typing import Any, Final

from celery.beat import PersistentScheduler, ScheduleEntry

from tasks.errors import QueueUnavailable
from tasks.health.clocks import clock_reports
from tasks.health.inspection import queue_statuses

logger = logging.getLogger(__name__)

#: Minimum seconds between log lines about skipped ticks.
LOG_INTERVAL_SECONDS: Final = 300.0


class SharedClockEntry(ScheduleEntry):
    """An entry of the schedule. Its times are the app's, hence Redis'."""

    def is_due(self) -> tuple[bool, float]:
        """Tell whether it is due, and in how many seconds to ask again.

        A last run in the future is that of another time: of a wrong clock, before Redis first answered. Waiting until
        it has passed would take as long as that clock was wrong.
        """
        now = self.default_now()
        if self.last_run_at is not None and self.last_run_at > now:
            self.last_run_at = now
        return super().is_due()


class BoundedScheduler(PersistentScheduler):
    """Skips a tick when the oldest message in its queue has waited longer than the tick may wait.

    Nothing removes expired messages from a queue without a worker: ticks would pile up in Redis until one comes back.
    A skipped tick would have expired before its turn.
    """

    Entry = SharedClockEntry
    _logged_at = float("-inf")  # time.monotonic()

    def setup_schedule(self) -> None:
        self._running = ExitStack()
        self._running.enter_context(clock_reports("beat"))
        super().setup_schedule()

    def close(self) -> None:
        self._running.close()
        super().close()

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

"""How long recent searches took, from sending to their end: re-indexing must not slow them down."""

import threading
import time
from collections import deque
from collections.abc import Callable
from statistics import quantiles
from typing import Any, Final

from celery.signals import task_postrun
from pydantic import BaseModel, ConfigDict

from tasks import clock, names
from tasks.context import SENT_AT

#: Searches older than this many seconds are ignored.
WINDOW_SECONDS: Final = 20.0
#: Fewer searches say nothing about a 95th percentile.
ENOUGH_SEARCHES: Final = 5
#: Most searches remembered.
MOST_SEARCHES: Final = 2000


class SearchLatency(BaseModel):
    """The searches of the last WINDOW_SECONDS."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    count: int
    p95_ms: float


class RecentSearches:
    """Safe to share between threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: deque[tuple[float, float]] = deque(maxlen=MOST_SEARCHES)

    def record(self, seconds: float) -> None:
        with self._lock:
            self._seen.append((self._clock(), seconds))

    def summary(self) -> SearchLatency | None:
        """Return how long they took; None when there were too few."""
        since = self._clock() - WINDOW_SECONDS
        with self._lock:
            took = [seconds for at, seconds in self._seen if at >= since]
        if len(took) < ENOUGH_SEARCHES:
            return None
        return SearchLatency(count=len(took), p95_ms=round(quantiles(took, n=20, method="inclusive")[-1] * 1000, 2))


#: The searches of this process.
recent_searches = RecentSearches()


@task_postrun.connect
def _note(task: Any, **_: Any) -> None:
    if task.name == names.SEARCH_FACES and (sent_at := getattr(task.request, SENT_AT, None)):
        recent_searches.record(max(0.0, clock.now() - sent_at))

"""How often a worker checks the vector store for its reports (HEALTH_CHECK_INTERVAL)."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.face_index import FaceIndex
    from worker.vector_search.interfaces import StoreHealth


class StoreHealthCheck:
    """Remembers a healthy answer for `interval_seconds`. Used by one thread.

    A failure is not remembered, so that the next report shows the recovery.
    """

    def __init__(self, interval_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._checked: tuple[FaceIndex, StoreHealth] | None = None
        self._checked_at = 0.0

    def health(self, index: "FaceIndex") -> "StoreHealth":
        """Return the health of the index's store, checked now when the last answer is too old or of another index.

        Never raises; blocks for at most the health timeout.
        """
        now = self._clock()
        if self._checked and self._checked[0] is index and now < self._checked_at + self._interval_seconds:
            return self._checked[1]
        health = index.store_health()
        self._checked = (index, health) if health.is_healthy else None
        self._checked_at = now
        return health

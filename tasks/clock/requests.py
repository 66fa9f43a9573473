"""How a worker reads the deadline and the start time of a message, which are Redis' time."""

import logging
from datetime import datetime, timedelta
from typing import Any

from celery.worker.request import Request
from celery.worker.state import revoked as revoked_tasks

from tasks.clock.shared import clock, now, utcnow
from tasks.context import SENT_AT

logger = logging.getLogger(__name__)


class SharedClockRequest(Request):
    """A received message."""

    @property
    def eta(self) -> datetime | None:
        """When to start it by this host's wall clock, which is what the worker's timer goes by."""
        eta: datetime | None = super().eta
        return eta and eta + timedelta(seconds=clock.wall_offset_seconds)

    def maybe_expire(self) -> bool:  # type: ignore[override]
        """Return whether nobody waits for the task any more."""
        if self.expires is None or utcnow() <= self.expires:
            return False
        revoked_tasks.add(self.id)
        return True

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        """Store why it is not run; for an expired message, with figures."""
        if expired:
            reason = why_expired(self.request_dict.get(SENT_AT), self.expires)
            logger.info("Not run: %s[%s] %s.", self.name, self.id, reason)
        super()._announce_revoked(reason, terminated, signum, expired)  # type: ignore[misc]


def why_expired(sent_at: object, expires: datetime) -> str:
    """Say why a message that was sent at `sent_at`, by the shared clock, is not run any more."""
    if not isinstance(sent_at, float):
        return "waited too long for a worker"
    may_seconds = expires.timestamp() - sent_at
    return f"waited {now() - sent_at:.1f} s for a worker, and may wait {round(may_seconds, 1):g} s at most"

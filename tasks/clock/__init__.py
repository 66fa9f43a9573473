"""The one clock: Redis'. Times that two hosts compare are read from it, so a host whose clock is wrong harms nobody."""

from tasks.clock.shared import TOLERATED_SECONDS, SharedClock, clock, now, off_by, utcnow

__all__ = ["TOLERATED_SECONDS", "SharedClock", "clock", "now", "off_by", "utcnow"]

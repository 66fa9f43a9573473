"""Redis' clock as this process sees it.

`now()` asks no server: it adds the monotonic clock of this process to an offset that is measured against Redis' TIME
command, at first use and then every REFRESH_SECONDS by a thread of its own. So it neither blocks nor follows this
host's wall clock, even when that is set. Until Redis has answered once, the wall clock stands in.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Final

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

#: How long a measured offset is used, in seconds: two quartz clocks drift apart by less than a millisecond meanwhile.
REFRESH_SECONDS: Final = 10.0
#: Of this many readings the one with the shortest round trip counts (Cristian's algorithm, 1989).
READINGS: Final = 3
#: A wall clock that is off by more than this is reported, in seconds.
TOLERATED_SECONDS: Final = 2.0

#: Reads another host's clock: seconds since the epoch.
Reader = Callable[[], float]


@contextmanager
def redis_clock() -> Iterator[Reader]:
    """Connect to Redis; yield what asks it for its time. Both raise what redis raises, within two seconds."""
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
    ) as client:

        def read() -> float:
            seconds, microseconds = client.time()
            return float(seconds) + float(microseconds) / 1e6

        client.ping()  # connects, so that no round trip of `read` includes that
        yield read


class SharedClock:
    """Another host's clock, estimated. Safe to share between threads."""

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Reader]] = redis_clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`connect` yields a reader of that clock; both may raise redis.RedisError."""
        self._connect, self._monotonic, self._wall = connect, monotonic, wall
        self._lock = threading.Lock()
        self._offset: float | None = None
        self._measured_at = float("-inf")  # by `monotonic`
        self._is_wrong = False

    def now(self) -> float:
        """Return seconds since the epoch by that clock. Blocks until the first answer only, for two seconds at most."""
        if self._measured_at == float("-inf"):
            self._measure_first()
        elif self._monotonic() - self._measured_at > REFRESH_SECONDS:
            self._measured_at = self._monotonic()  # now, so that the next caller starts no thread of its own
            threading.Thread(target=self.measure, name="clock", daemon=True).start()
        return self._wall() if self._offset is None else self._monotonic() + self._offset

    def measure(self) -> None:
        """Measure the offset now. When Redis does not answer, the last one stays. Never raises."""
        if not self._lock.acquire(blocking=False):
            return  # somebody else is measuring
        try:
            self._measure()
        finally:
            self._lock.release()

    def _measure_first(self) -> None:
        """Measure, or wait for the thread that does: until then this host's clock would be all there is."""
        with self._lock:
            if self._measured_at == float("-inf"):
                self._measure()

    def _measure(self) -> None:
        try:
            with self._connect() as read:
                self._offset = min(self._reading(read) for _ in range(READINGS))[1]
        except redis.RedisError as error:
            # Whoever needs Redis says so; a command that does not need it must not complain.
            logger.debug("Redis does not tell the time: %s", error)
        finally:
            self._measured_at = self._monotonic()
        self._warn_when_wrong()

    def _reading(self, read: Reader) -> tuple[float, float]:
        """Return a round trip in seconds, and the offset that it shows."""
        sent_at = self._monotonic()
        told = read()
        answered_at = self._monotonic()
        return answered_at - sent_at, told - (sent_at + answered_at) / 2

    @property
    def wall_offset_seconds(self) -> float:
        """How far this host's wall clock is ahead of that clock; 0 while that is unknown."""
        return 0.0 if self._offset is None else self._wall() - (self._monotonic() + self._offset)

    def _warn_when_wrong(self) -> None:
        was_wrong, self._is_wrong = self._is_wrong, abs(self.wall_offset_seconds) > TOLERATED_SECONDS
        if self._is_wrong and not was_wrong:
            logger.warning("This host's clock is %s Redis'.", off_by(self.wall_offset_seconds))


def off_by(offset_seconds: float) -> str:
    """Say how far a clock is off: "121 s ahead of", "0.0 s behind"."""
    seconds = abs(offset_seconds)
    shown = f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"
    return f"{shown} s {'ahead of' if offset_seconds >= 0 else 'behind'}"


#: The process' own.
clock = SharedClock()


def now() -> float:
    """Return the time that all hosts share, in seconds since the epoch."""
    return clock.now()


def utcnow() -> datetime:
    """Return the time that all hosts share."""
    return datetime.fromtimestamp(now(), tz=UTC)

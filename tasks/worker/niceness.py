"""Who goes first where processes share a machine: the web, then searches and records, bulk work last.

A page takes a few milliseconds of work. Behind workers that compute all the time it would wait again and again.
Niceness only divides the processor, and containers have none in common; so while searches wait, bulk work also pauses
between photos.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import redis
from kombu.transport.redis import PRIORITY_STEPS, Channel

from tasks.health.reports import WorkerReport, published_reports
from tasks.roles import PACK_ROLES, role_of

logger = logging.getLogger(__name__)

#: Where sched_autogroup_enabled is on, Linux divides time among sessions first, and a supervisor often starts each
#: process in its own session. Niceness then counts for nothing; this file does (sched(7), "The autogroup feature").
AUTOGROUP: Final = Path("/proc/self/autogroup")
#: A look at the queues is this old at most, in seconds: one round trip to Redis.
LOOK_SECONDS: Final = 0.05
#: How long it is believed which workers this machine has, in seconds: as long as a worker's reports are apart.
REPORTS_SECONDS: Final = 3.0
#: The longest pause before a photo, and of all photos of a chunk together. The latter is little beside a lease.
MOST_SECONDS_PER_PHOTO: Final = 1.0
MOST_SECONDS_PER_CHUNK: Final = 3.0


def lower_priority(queues: Iterable[str]) -> int:
    """Lower this process' priority as far as its most urgent queue allows; return its niceness.

    Call before threads start: they inherit it. It needs no privileges and guarantees nothing: containers share by
    weights.
    """
    roles = [role_of(queue) for queue in queues]
    steps = min((role.niceness if role else 0 for role in roles), default=0)
    nice = os.nice(steps - os.nice(0)) if steps > os.nice(0) else os.nice(0)
    try:
        if AUTOGROUP.exists() and os.getsid(0) == os.getpid():
            AUTOGROUP.write_text(str(nice))
    except OSError as error:  # the kernel accepts few changes in a short time
        logger.info("The session keeps its niceness: %s", error)
    return nice


class UrgentWork:
    """Tells whether work that goes first waits for a worker of this machine. Safe to share between threads."""

    def __init__(
        self,
        broker: redis.Redis,
        queues: Iterable[str],
        *,
        machine: str,
        reports: Callable[[], Iterable[WorkerReport]] = published_reports,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`queues` are those of this worker, `reports` those of all workers, `machine` names what this one runs on."""
        own = min((role.niceness for queue in queues if (role := role_of(queue))), default=0)
        self._more_urgent = {role for role in PACK_ROLES if role.niceness < own}
        self._broker, self._machine, self._reports, self._clock = broker, machine, reports, clock
        self._lock = threading.Lock()
        self._lists: tuple[str, ...] = ()
        self._next_reports_at = self._next_look_at = float("-inf")
        self._waits = False

    def waits(self) -> bool:
        """Return what was found at most LOOK_SECONDS ago; False when Redis does not answer. Never raises."""
        with self._lock:
            now = self._clock()
            if self._more_urgent and now >= self._next_look_at:
                self._next_look_at = now + LOOK_SECONDS
                self._look(now)
            return self._waits

    def _look(self, now: float) -> None:
        if now >= self._next_reports_at:
            self._next_reports_at = now + REPORTS_SECONDS
            self._lists = tuple(self._urgent_lists())
        self._waits = False
        try:
            if self._lists:
                with self._broker.pipeline(transaction=False) as pipe:
                    for name in self._lists:
                        pipe.llen(name)
                    self._waits = any(pipe.execute())
        except redis.RedisError as error:
            logger.info("It is not known whether more urgent work waits: %s", error)
            self._next_look_at = now + REPORTS_SECONDS

    def _urgent_lists(self) -> Iterator[str]:
        """Yield the Redis lists of the queues: kombu keeps one for each step of priority."""
        here = [each for each in self._reports() if each.machine == self._machine and each.is_healthy]
        for queue in sorted({queue for each in here for queue in each.queues if role_of(queue) in self._more_urgent}):
            yield queue
            yield from (f"{queue}{Channel.sep}{step}" for step in PRIORITY_STEPS if step)


class Pauses:
    """The pauses of one chunk of photos: bounded, so that bulk work gets on however much is urgent.

    Its threads pause one after the other, so that the chunk as a whole pauses no longer than that.
    """

    def __init__(
        self,
        urgent_work_waits: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._urgent_work_waits, self._clock, self._sleep = urgent_work_waits, clock, sleep
        self._lock = threading.Lock()
        self._left_seconds = MOST_SECONDS_PER_CHUNK

    def pause(self) -> None:
        """Wait before the next photo while more urgent work waits, for MOST_SECONDS_PER_PHOTO at most."""
        with self._lock:
            began = self._clock()
            most_seconds = min(self._left_seconds, MOST_SECONDS_PER_PHOTO)
            while self._clock() - began < most_seconds and self._urgent_work_waits():
                self._sleep(LOOK_SECONDS)
            self._left_seconds -= self._clock() - began

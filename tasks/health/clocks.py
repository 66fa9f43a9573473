"""Clock reports: how far each process' wall clock is off Redis'. Nothing fails for it; people are told.

Workers say it in their own reports. The web and beat publish theirs in redis-cache, in an entry that expires unless it
is renewed; a command such as `doctor` looks at its own clock only.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import redis
import redis.asyncio
from pydantic import BaseModel, ConfigDict

from tasks.clock import TOLERATED_SECONDS, clock, off_by
from tasks.config import worker_cache
from tasks.health.findings import Finding
from tasks.health.reports import WorkerReport

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "facequeue:clock:"
#: Seconds between measurements, and how long one counts.
REPORT_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 20


class ClockReport(BaseModel):
    """The wall clock of one process: how many seconds it is ahead of Redis' clock; negative when it is behind."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    process: str
    offset_seconds: float

    @property
    def is_wrong(self) -> bool:
        return abs(self.offset_seconds) > TOLERATED_SECONDS


@contextmanager
def clock_reports(kind: str) -> Iterator[None]:
    """Measure the shared clock now, then measure and publish it from a thread of its own until the block ends.

    `kind` is what the process is: "web" or "beat". Blocks for two seconds at most.
    """
    process = f"{kind}-{os.getpid()}@{socket.gethostname()}"
    clock.measure()
    stopping = threading.Event()
    thread = threading.Thread(target=_report, args=(process, stopping), name="clock-reports", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(timeout=3.0)


def _report(process: str, stopping: threading.Event) -> None:
    with worker_cache() as cache:
        while not stopping.is_set():
            report = ClockReport(process=process, offset_seconds=clock.wall_offset_seconds)
            try:
                cache.set(KEY_PREFIX + process, report.model_dump_json(), ex=KEPT_SECONDS)
            except redis.RedisError as error:
                logger.info("The clock report could not be published: %s", error)
            stopping.wait(REPORT_SECONDS)
            clock.measure()
        try:
            cache.delete(KEY_PREFIX + process)
        except redis.RedisError as error:
            logger.info("The clock report stays until it expires: %s", error)


async def published(cache: redis.asyncio.Redis) -> tuple[ClockReport, ...]:
    """Return the clock reports of the web and of beat. Raises what redis raises."""
    keys = [key async for key in cache.scan_iter(match=KEY_PREFIX + "*", count=1000)]
    values = await cache.mget(sorted(keys)) if keys else []
    return tuple(ClockReport.model_validate_json(value) for value in values if value)


def all_clocks(workers: Iterable[WorkerReport], others: Iterable[ClockReport]) -> list[ClockReport]:
    """Return the clock reports of all processes."""
    of_workers = (ClockReport(process=each.name, offset_seconds=each.clock_offset_seconds) for each in workers)
    return [*of_workers, *others]


def wrong_clocks(clocks: Iterable[ClockReport]) -> Iterator[Finding]:
    """Yield a finding for each clock that is wrong. None is critical: no time that hosts compare is of their clocks."""
    for each in clocks:
        if each.is_wrong:
            yield _finding(f"clock {each.process}", each.offset_seconds)


def own_clock() -> Finding:
    """Measure the clock of this process. Blocks for two seconds at most."""
    clock.measure()
    return _finding("clock", clock.wall_offset_seconds)


def _finding(name: str, offset_seconds: float) -> Finding:
    is_wrong = abs(offset_seconds) > TOLERATED_SECONDS
    return Finding(
        name=name,
        ok=not is_wrong,
        detail=f"{off_by(offset_seconds)} Redis'",
        remedy="Set the clock of its host, for example with NTP: log lines and file times are off." if is_wrong else "",
        value=offset_seconds,
    )

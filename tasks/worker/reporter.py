"""How a worker publishes its report, and whether it can reach Redis."""

import logging
import threading
from collections.abc import Callable
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks.health.reports import WorkerReport, report_key

logger = logging.getLogger(__name__)

#: Seconds between a worker's reports: a dead worker is noticed soon.
REPORT_INTERVAL_SECONDS: Final = 3.0
#: A report outlives this many intervals, so that a late one does not look like silence.
REPORT_TTL_INTERVALS: Final = 4
#: Seconds that a stopping worker waits for a report in progress.
JOIN_SECONDS: Final = 3.0


class BrokerProbe:
    """Pings Redis: a worker that cannot reach its queues is not healthy."""

    def __init__(self, url: str) -> None:
        self._broker = redis.Redis.from_url(
            url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )

    def problem(self) -> str:
        """Return a sentence, empty when Redis answers. Blocks for two seconds at most."""
        try:
            self._broker.ping()
        except redis.RedisError as error:
            return f"This worker cannot reach Redis, where its queues are: {error}"
        return ""


class HealthReporter:
    """Publishes a report every `interval_seconds` from its own thread.

    If the thread or the process dies, the report expires: silence never looks like health.
    """

    def __init__(
        self,
        cache: redis.Redis,
        name: str,
        describe: Callable[[], WorkerReport],
        *,
        interval_seconds: float = REPORT_INTERVAL_SECONDS,
        stopping: threading.Event | None = None,
    ) -> None:
        """The thread waits on `stopping` between reports; a test passes its own to control time."""
        self._cache = cache
        self._name = name
        self._describe = describe
        self._interval_seconds = interval_seconds
        self._stopping = stopping or threading.Event()
        self._thread = threading.Thread(target=self._run, name="health-reporter", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop, and withdraw the report: a worker that left on purpose disappears at once."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=JOIN_SECONDS)
        try:
            self._cache.delete(report_key(self._name))
        except redis.RedisError as error:
            logger.info("The report stays until it expires: %s", error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            report = self._describe()
            ttl_ms = round(REPORT_TTL_INTERVALS * self._interval_seconds * 1000)
            try:
                self._cache.set(report_key(self._name), report.model_dump_json(), px=ttl_ms)
            except redis.RedisError as error:
                logger.warning("The report could not be published: %s", error)
            self._stopping.wait(self._interval_seconds)

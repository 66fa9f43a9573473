"""What a worker says of itself: a report in redis-cache that expires unless it is renewed.

The web and the commands read these reports; they never talk to Milvus. A worker whose report is missing is down,
whatever the reason.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

import redis
from pydantic import BaseModel, ConfigDict

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "facequeue:worker:"
REPORT_INTERVAL_SECONDS: Final = 3.0
REPORT_TTL_SECONDS: Final = 12


class WorkerReport(BaseModel):
    """One worker process, as it sees itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    pid: int
    queues: tuple[str, ...]
    is_healthy: bool
    #: A sentence for a person when something is wrong.
    problem: str = ""
    # GPU workers only
    pack: str = ""
    fingerprint: str = ""
    dimension: int | None = None
    providers: tuple[str, ...] = ()
    warning: str = ""
    connection_status: str = ""
    collection: str = ""
    collection_status: str = ""
    face_count: int | None = None
    store_latency_ms: float | None = None


def report_key(worker_name: str) -> str:
    return KEY_PREFIX + worker_name


class HealthReporter:
    """Publishes a report every few seconds from its own thread.

    If the thread or the process dies the report expires, so silence is never mistaken for health.
    """

    def __init__(self, cache: redis.Redis, name: str, describe: Callable[[], WorkerReport]) -> None:
        self._cache = cache
        self._name = name
        self._describe = describe
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health-reporter", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop, and take the report back: a worker that left on purpose is gone at once."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=REPORT_INTERVAL_SECONDS)
        try:
            self._cache.delete(report_key(self._name))
        except redis.RedisError as error:
            logger.info("The health report stays until it expires: %s", error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            report = self._describe()
            try:
                self._cache.set(report_key(self._name), report.model_dump_json(), ex=REPORT_TTL_SECONDS)
            except redis.RedisError as error:
                logger.warning("The health report could not be published: %s", error)
            self._stopping.wait(REPORT_INTERVAL_SECONDS)

"""What a worker says of itself: a report in redis-cache that expires unless it is renewed.

The web and the commands read these reports; they never talk to Milvus. A worker whose report is missing is down,
whatever the reason.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final, cast

import redis
from pydantic import BaseModel, ConfigDict, Field
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks.config import worker_cache
from tasks.latency import SearchLatency
from worker.metrics import MetricsSummary

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "facequeue:worker:"
#: A report outlives this many intervals: one that comes late is no silence.
REPORT_TTL_INTERVALS: Final = 4
#: How long a stopping worker waits for a report that is just being made, in seconds.
JOIN_SECONDS: Final = 3.0


class WorkerReport(BaseModel):
    """One worker process, as it sees itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    pid: int
    queues: tuple[str, ...]
    is_healthy: bool
    #: A sentence for a person when something is wrong.
    problem: str = ""
    #: "search", "index", "records", or several of them with a "+" between.
    role: str = ""
    #: Of facequeue, celery and, for GPU workers, onnxruntime.
    versions: dict[str, str] = Field(default_factory=dict)
    #: time.time() of the process' start, and of this report.
    started_at: float = 0.0
    reported_at: float = 0.0
    #: How many tasks it can run at a time, runs now, and holds in its hand.
    concurrency: int = 0
    active_tasks: int = 0
    reserved_tasks: int = 0
    #: Resident memory, its child processes included.
    memory_mb: float = 0.0
    #: host:port of its metrics; empty when ENABLE_METRICS is off.
    metrics_address: str = ""
    # GPU workers only
    pack: str = ""
    fingerprint: str = ""
    #: Fingerprint of the pack's detector with its settings: two packs that share it find the same faces.
    detector: str = ""
    dimension: int | None = None
    providers: tuple[str, ...] = ()
    warning: str = ""
    connection_status: str = ""
    collection: str = ""
    collection_status: str = ""
    store_latency_ms: float | None = None
    #: Of the calls to Milvus: "closed" lets them through, "open" does not, "half-open" tries one.
    breaker: str = ""
    #: What searches took lately, from being sent to their end; None when there were too few to tell.
    search_latency: SearchLatency | None = None
    #: The searches of the vector store in this process; None when ENABLE_METRICS is off.
    metrics: MetricsSummary | None = None

    @property
    def uptime_seconds(self) -> float:
        return max(0.0, self.reported_at - self.started_at)


def report_key(worker_name: str) -> str:
    return KEY_PREFIX + worker_name


def published_reports() -> tuple[WorkerReport, ...]:
    """Return what the workers say of themselves now; nothing when redis-cache does not answer."""
    try:
        with worker_cache() as cache:
            keys = sorted(cache.scan_iter(match=KEY_PREFIX + "*", count=1000))
            values = cast("list[bytes | None]", cache.mget(keys)) if keys else []
    except redis.RedisError as error:
        logger.warning("The workers' reports cannot be read: %s", error)
        return ()
    return tuple(WorkerReport.model_validate_json(value) for value in values if value)


class BrokerProbe:
    """Asks Redis whether it is there: a worker that cannot reach its queues is not well."""

    def __init__(self, url: str) -> None:
        self._broker = redis.Redis.from_url(
            url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )

    def problem(self) -> str:
        """Return a sentence, empty when Redis answers. Blocks for a second or two at most."""
        try:
            self._broker.ping()
        except redis.RedisError as error:
            return f"This worker cannot reach Redis, where its queues are: {error}"
        return ""


class HealthReporter:
    """Publishes a report every `interval_seconds` (HEALTH_CHECK_INTERVAL) from its own thread.

    If the thread or the process dies the report expires, so silence is never mistaken for health.
    """

    def __init__(
        self, cache: redis.Redis, name: str, describe: Callable[[], WorkerReport], *, interval_seconds: float
    ) -> None:
        self._cache = cache
        self._name = name
        self._describe = describe
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health-reporter", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop, and take the report back: a worker that left on purpose is gone at once."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=JOIN_SECONDS)
        try:
            self._cache.delete(report_key(self._name))
        except redis.RedisError as error:
            logger.info("The health report stays until it expires: %s", error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            report = self._describe()
            ttl_ms = round(REPORT_TTL_INTERVALS * self._interval_seconds * 1000)
            try:
                self._cache.set(report_key(self._name), report.model_dump_json(), px=ttl_ms)
            except redis.RedisError as error:
                logger.warning("The health report could not be published: %s", error)
            self._stopping.wait(self._interval_seconds)

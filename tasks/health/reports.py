"""Worker reports: each worker describes itself in redis-cache, in an entry that expires unless it is renewed.

The web and the commands read these reports and never talk to Milvus. A worker without a report is down, whatever the
reason.
"""

import logging
from typing import Final, cast

import redis
from pydantic import BaseModel, ConfigDict, Field

from tasks.config import worker_cache
from tasks.health.latency import SearchLatency
from worker.metrics import MetricsSummary

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "facequeue:worker:"


class WorkerReport(BaseModel):
    """One worker process, as it describes itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    pid: int
    queues: tuple[str, ...]
    is_healthy: bool
    #: A sentence for a person when something is wrong.
    problem: str = ""
    #: "search", "index", "records", or several of them with a "+" between.
    role: str = ""
    #: Names the machine that it runs on: the same in all of its containers.
    machine: str = ""
    #: Of facequeue, celery and, for GPU workers, onnxruntime.
    versions: dict[str, str] = Field(default_factory=dict)
    #: When the process started, and the time of this report, in seconds since the epoch by the shared clock.
    started_at: float = 0.0
    reported_at: float = 0.0
    #: How far its host's clock is ahead of Redis'; negative when it is behind.
    clock_offset_seconds: float = 0.0
    #: How many tasks it can run at a time, is running, and has reserved.
    concurrency: int = 0
    active_tasks: int = 0
    reserved_tasks: int = 0
    #: Resident memory, its child processes included.
    memory_mb: float = 0.0
    #: Above this it ends, to be started again; 0: no limit.
    memory_limit_mb: float = 0.0
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
    #: How long recent searches took, from sending to their end; None when there were too few.
    search_latency: SearchLatency | None = None
    #: The searches of the vector store in this process; None when ENABLE_METRICS is off.
    metrics: MetricsSummary | None = None

    @property
    def uptime_seconds(self) -> float:
        return max(0.0, self.reported_at - self.started_at)


def report_key(worker_name: str) -> str:
    return KEY_PREFIX + worker_name


def published_reports() -> tuple[WorkerReport, ...]:
    """Return the workers' current reports; none when redis-cache does not answer."""
    try:
        with worker_cache() as cache:
            keys = sorted(cache.scan_iter(match=KEY_PREFIX + "*", count=1000))
            values = cast("list[bytes | None]", cache.mget(keys)) if keys else []
    except redis.RedisError as error:
        logger.warning("The workers' reports cannot be read: %s", error)
        return ()
    return tuple(WorkerReport.model_validate_json(value) for value in values if value)

"""Queues, canaries and workers as the web sees them from outside, in Prometheus' text format."""

from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tasks.health.canaries import CanaryReport
from tasks.health.clocks import ClockReport
from tasks.health.findings import Finding
from tasks.health.inspection import QueueStatus
from tasks.health.live_recall import GalleryRecall
from tasks.health.reports import WorkerReport

#: What `observed` shows: read from Redis on request, not counted by this process.
OBSERVED: Final = {
    "facequeue_queue_depth": "Messages waiting for a worker.",
    "facequeue_queue_oldest_seconds": "Age of the oldest waiting message.",
    "facequeue_canary_age_seconds": "Seconds since a canary last arrived through this queue.",
    "facequeue_canary_seconds": "How long the latest canary took, from publishing to its end.",
    "facequeue_worker_report_age_seconds": "Seconds since the worker's latest report.",
    "facequeue_worker_healthy": "1 when the worker reports that it is healthy.",
    "facequeue_worker_active_tasks": "Tasks that the worker is running.",
    "facequeue_worker_memory_bytes": "Resident memory of the worker and its child processes.",
    "facequeue_worker_breaker_open": "1 while the worker's circuit breaker blocks calls to Milvus.",
    "facequeue_match_recall": "Share of the matches of exact search that searches found in the last hour.",
    "facequeue_clock_offset_seconds": "How far the clock of the process' host is ahead of Redis'.",
    "facequeue_finding_ok": "1 when the check finds nothing wrong; `doctor` says what it means.",
    "facequeue_finding_value": "The number behind the check, where it has one.",
}


def observed(
    *,
    queues: Sequence[QueueStatus],
    canaries: tuple[CanaryReport, ...],
    workers: tuple[WorkerReport, ...],
    recalls: tuple[GalleryRecall, ...] = (),
    clocks: Sequence[ClockReport] = (),
    findings: tuple[Finding, ...] = (),
    now: float,
) -> bytes:
    """Return queues, canaries, workers and findings in Prometheus' text format. `now` is by the shared clock."""
    registry = CollectorRegistry()
    gauges = {name: Gauge(name, text, _labels(name), registry=registry) for name, text in OBSERVED.items()}
    for queue in queues:
        gauges["facequeue_queue_depth"].labels(queue.name).set(queue.waiting)
        gauges["facequeue_queue_oldest_seconds"].labels(queue.name).set(queue.oldest_seconds or 0.0)
    for canary in canaries:
        gauges["facequeue_canary_age_seconds"].labels(canary.queue).set(max(0.0, now - canary.at))
        gauges["facequeue_canary_seconds"].labels(canary.queue).set(canary.seconds)
    for worker in workers:
        who = (worker.name, worker.role)
        gauges["facequeue_worker_report_age_seconds"].labels(*who).set(max(0.0, now - worker.reported_at))
        gauges["facequeue_worker_healthy"].labels(*who).set(worker.is_healthy)
        gauges["facequeue_worker_active_tasks"].labels(*who).set(worker.active_tasks)
        gauges["facequeue_worker_memory_bytes"].labels(*who).set(worker.memory_mb * 1024 * 1024)
        gauges["facequeue_worker_breaker_open"].labels(*who).set(worker.breaker == "open")
    for clock in clocks:
        gauges["facequeue_clock_offset_seconds"].labels(clock.process).set(clock.offset_seconds)
    for each in recalls:
        gauges["facequeue_match_recall"].labels(each.gallery_id).set(each.recall)
    for finding in findings:
        gauges["facequeue_finding_ok"].labels(finding.name).set(finding.ok)
        if finding.value is not None:
            gauges["facequeue_finding_value"].labels(finding.name).set(finding.value)
    return generate_latest(registry)


def _labels(name: str) -> list[str]:
    """Return the labels of a metric of OBSERVED."""
    if name == "facequeue_match_recall":
        return ["gallery"]
    if name == "facequeue_clock_offset_seconds":
        return ["process"]
    if "_finding_" in name:
        return ["finding"]
    return ["worker", "role"] if "_worker_" in name else ["queue"]

"""What the workers' reports say about the service as a whole: one finding for each thing they report on."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from tasks.health.canaries import CanaryReport, canary_problem
from tasks.health.clocks import ClockReport, all_clocks, wrong_clocks
from tasks.health.findings import Finding
from tasks.health.live_recall import GalleryRecall, recall_problem
from tasks.health.reports import WorkerReport
from tasks.messages.base import Target
from tasks.queues import required_queues, search_queue

START = "Start the services with `make up`"


class HealthReport(BaseModel):
    """The service as its workers describe it. Reading it costs a few Redis commands and never touches Milvus."""

    model_config = ConfigDict(frozen=True)

    connection_status: str = "unknown"  # of the search workers to Milvus: "connected" | "disconnected" | "unknown"
    collection_status: str = "unknown"  # "loaded" | "released" | "missing" | "unknown"
    workers: tuple[WorkerReport, ...] = ()
    canaries: tuple[CanaryReport, ...] = ()
    #: The match recall of galleries searched lately, in the active collection.
    recalls: tuple[GalleryRecall, ...] = ()
    #: Of every process that reports its clock, whether right or wrong.
    clocks: tuple[ClockReport, ...] = ()
    findings: tuple[Finding, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether searches are answered and photos indexed; less urgent findings do not count."""
        return all(finding.ok for finding in self.findings if finding.is_critical)

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each finding that is not ok, critical ones first."""
        wrong = sorted((each for each in self.findings if not each.ok), key=lambda each: not each.is_critical)
        return tuple(each.sentence for each in wrong)


def unreachable() -> HealthReport:
    """Return the report of a service whose redis-cache does not answer: nothing is known."""
    detail = "does not answer, so nothing is known of the workers"
    lost = Finding(name="redis-cache", ok=False, detail=detail, remedy=f"{START}.", is_critical=True)
    return HealthReport(findings=(lost,))


def judge(
    workers: tuple[WorkerReport, ...],
    target: Target,
    canaries: tuple[CanaryReport, ...] = (),
    recalls: tuple[GalleryRecall, ...] = (),
    *,
    clocks: tuple[ClockReport, ...] = (),
    canary_interval_seconds: float = 0.0,
    recall_min: float = 0.0,
) -> HealthReport:
    """Judge the service by the reports, for the pack and collection of `target`.

    `clocks` are the reports of the processes that are no workers.
    """
    clocks = tuple(all_clocks(workers, clocks))
    # One worker that reaches the collection is enough to answer searches: show the best report.
    searchers = sorted(
        (worker for worker in workers if search_queue(target.pack) in worker.queues),
        key=lambda worker: (
            worker.collection == target.collection,
            worker.is_healthy,
            worker.collection_status == "loaded",
        ),
    )
    best = searchers[-1] if searchers else None
    findings = [
        *(_queue(queue, workers) for queue in required_queues(target.pack)),
        *_troubled_workers(workers),
        _milvus(best),
        _collection(best, target),
        _pack(workers, target),
        *_canaries(canaries, workers, target, interval_seconds=canary_interval_seconds),
        *_live_recall(recalls, least=recall_min),
        *wrong_clocks(clocks),
    ]
    return HealthReport(
        connection_status=best.connection_status if best else "unknown",
        collection_status=best.collection_status if best else "unknown",
        workers=workers,
        canaries=canaries,
        recalls=recalls,
        clocks=clocks,
        findings=tuple(findings),
    )


def _queue(queue: str, workers: tuple[WorkerReport, ...]) -> Finding:
    consumers = [worker for worker in workers if queue in worker.queues]
    healthy = sum(worker.is_healthy for worker in consumers)
    problem = " ".join(worker.problem for worker in consumers if worker.problem)
    remedy = f"No healthy worker consumes the queue {queue}. {problem or f'{START}, or start a worker for it.'}"
    return Finding(
        name=f"workers {queue}",
        ok=healthy > 0,
        detail=f"{healthy} healthy of {len(consumers)}",
        remedy="" if healthy else remedy,
        value=healthy,
        is_critical=True,
    )


def _troubled_workers(workers: tuple[WorkerReport, ...]) -> Iterator[Finding]:
    """Yield a finding for each worker with a problem; it is not critical if the worker still serves."""
    for worker in workers:
        if worker.problem or not worker.is_healthy:
            detail = worker.problem or "not healthy"
            remedy = "" if worker.problem else "Its log says more."
            critical = not worker.is_healthy
            yield Finding(name=f"worker {worker.name}", ok=False, detail=detail, remedy=remedy, is_critical=critical)


def _milvus(best: WorkerReport | None) -> Finding:
    if best is None:
        detail = "unknown: no search worker reports on it"
        return Finding(name="milvus", ok=False, detail=detail, remedy="Start a search worker.")
    connected = best.connection_status == "connected"
    latency = "" if best.store_latency_ms is None else f", answers in {best.store_latency_ms:.1f} ms"
    return Finding(
        name="milvus",
        ok=connected,
        detail=f"{best.connection_status}{latency}",
        remedy="" if connected else f"{START}.",
        value=best.store_latency_ms,
    )


def _collection(best: WorkerReport | None, target: Target) -> Finding:
    status = best.collection_status if best else "unknown"
    loaded = status == "loaded"
    remedy = "" if loaded else "A search worker creates and loads the collection when it starts: start one."
    return Finding(name="collection", ok=loaded, detail=f"{target.collection}, {status}", remedy=remedy)


def _pack(workers: tuple[WorkerReport, ...], target: Target) -> Finding:
    holders = [worker for worker in workers if worker.pack == target.pack]
    if not holders:
        remedy = "Start a search worker; its log names what the pack lacks."
        return Finding(name="pack", ok=False, detail=f"{target.pack}: no worker holds it", remedy=remedy)
    fingerprints = {worker.fingerprint for worker in holders}
    if len(fingerprints) > 1:
        remedy = "Workers hold different files under one name: install the same pack everywhere."
        return Finding(name="pack", ok=False, detail=f"{target.pack}: {len(fingerprints)} fingerprints", remedy=remedy)
    worker = holders[0]
    detail = f"{target.pack} {worker.fingerprint[:12]}, {worker.dimension} values, {', '.join(worker.providers)}"
    return Finding(name="pack", ok=True, detail=detail, value=worker.dimension)


def _canaries(
    canaries: tuple[CanaryReport, ...],
    workers: tuple[WorkerReport, ...],
    target: Target,
    *,
    interval_seconds: float,
) -> Iterator[Finding]:
    if not interval_seconds:
        return
    for queue in required_queues(target.pack):
        last = next((each for each in canaries if each.queue == queue), None)
        problem = canary_problem(queue, canaries, workers, interval_seconds=interval_seconds)
        remedy = f"{problem} Look at beat and at the queue's workers: they run, but what is sent does not arrive."
        yield Finding(
            name=f"canary {queue}",
            ok=not problem,
            detail="none yet" if last is None else f"{last.age_seconds:.0f} s ago, took {last.seconds:.2f} s",
            remedy=remedy if problem else "",
            value=None if last is None else last.age_seconds,
        )


def _live_recall(recalls: tuple[GalleryRecall, ...], *, least: float) -> Iterator[Finding]:
    if not recalls:
        return
    lowest = recalls[0].recall
    problem = recall_problem(recalls, least=least)
    remedy = f"{problem} Raise the search parameters (`manage.py reindex set`), or build another index."
    yield Finding(
        name="live recall",
        ok=not problem,
        detail=f"galleries searched in the last hour: {len(recalls)}, the lowest {lowest:.2%}",
        remedy=remedy if problem else "",
        value=lowest,
    )

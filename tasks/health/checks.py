"""What the workers' reports say about the service as a whole."""

from pydantic import BaseModel, ConfigDict

from tasks import queues
from tasks.health.canaries import CanaryReport, canary_problem
from tasks.health.live_recall import GalleryRecall, recall_problem
from tasks.health.reports import WorkerReport
from tasks.messages.base import Target


class HealthReport(BaseModel):
    """The service as its workers describe it. Reading it costs a few Redis commands and never touches Milvus."""

    model_config = ConfigDict(frozen=True)

    is_healthy: bool
    connection_status: str  # of the search workers to Milvus: "connected" | "disconnected" | "unknown"
    collection_status: str  # "loaded" | "released" | "missing" | "unknown"
    workers: tuple[WorkerReport, ...]
    canaries: tuple[CanaryReport, ...] = ()
    #: Of the galleries that were searched lately, in the active collection.
    recalls: tuple[GalleryRecall, ...] = ()
    #: One sentence each; empty when the service is healthy.
    problems: tuple[str, ...]


def _unreachable(problem: str) -> HealthReport:
    return HealthReport(
        is_healthy=False,
        connection_status="unknown",
        collection_status="unknown",
        workers=(),
        problems=(problem,),
    )


def _judge(
    workers: tuple[WorkerReport, ...],
    target: Target,
    canaries: tuple[CanaryReport, ...] = (),
    recalls: tuple[GalleryRecall, ...] = (),
    *,
    canary_interval_seconds: float = 0.0,
    recall_min: float = 0.0,
) -> HealthReport:
    """Tell from the reports whether each queue of the active pack has a healthy worker."""
    problems = [f"{worker.name}: {worker.problem}" for worker in workers if not worker.is_healthy]
    for queue in queues.required_queues(target.pack):
        if not any(queue in worker.queues and worker.is_healthy for worker in workers):
            problems.append(f"No healthy worker consumes the queue {queue}.")
    # A worker that serves but has something to say, such as what its index loses, does not make the service unready.
    remarks = [f"{worker.name}: {worker.problem}" for worker in workers if worker.is_healthy and worker.problem]
    for queue in queues.required_queues(target.pack):
        if late := canary_problem(queue, canaries, workers, interval_seconds=canary_interval_seconds):
            remarks.append(late)
    if lossy := recall_problem(recalls, least=recall_min):
        remarks.append(lossy)
    search_queue = queues.search_queue(target.pack)
    # One worker that reaches the collection is enough to answer searches: show the best report.
    searchers = sorted(
        (worker for worker in workers if search_queue in worker.queues),
        key=lambda worker: (
            worker.collection == target.collection,
            worker.is_healthy,
            worker.collection_status == "loaded",
        ),
    )
    best = searchers[-1] if searchers else None
    return HealthReport(
        is_healthy=not problems,
        connection_status=best.connection_status if best else "unknown",
        collection_status=best.collection_status if best else "unknown",
        workers=workers,
        canaries=canaries,
        recalls=recalls,
        problems=(*problems, *remarks),
    )

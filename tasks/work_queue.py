"""The boundary to the queue: all work is sent through it, by the web and by workers, and it says what is known of both.

A process has one work queue, `work_queue()`. That is Redis with Celery on top, unless somebody names another: tests, or
a process that does without Redis, use `tasks.web.memory.MemoryWorkQueue`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from tasks import live_targets
from tasks.health.inspection import QueueStatus, queue_statuses
from tasks.health.reports import WorkerReport, published_reports
from tasks.live_targets import LiveTargets
from tasks.messages.base import Message
from tasks.sending import send
from tasks.web.queue_progress import left_queue


class WorkQueue(Protocol):
    """Named queues, each first in, first out. Every method may block for a few seconds: call none on an event loop.

    Threads may share one.
    """

    def send(self, message: Message, *, queue: str, expires_seconds: float | None = None) -> None:
        """Send the message to a worker that consumes `queue`; nothing comes back.

        A message that no worker has begun within `expires_seconds` is dropped. A message may be delivered twice.
        Raises QueueUnavailable: whether the message was sent is then unknown, so send it again. Raises ValueError for
        a message that has no task, and for a queue that no role consumes.
        """
        ...

    def statuses(self, queues: Iterable[str]) -> list[QueueStatus]:
        """Return what waits in these queues, in their order. Raises QueueUnavailable.

        What a worker has taken waits no more, whether or not it is done. Expired messages wait until one takes them.
        """
        ...

    def left_before(self, queue: str, seconds: float) -> float:
        """Return a time (time.time()): everything sent before it left the queue at least `seconds` ago.

        It is a lower bound and may be 0, when nothing is known yet. Of an empty queue it is `seconds` ago. Raises
        QueueUnavailable.
        """
        ...

    def worker_reports(self) -> tuple[WorkerReport, ...]:
        """Return what the running workers say of themselves; nothing when that cannot be read."""
        ...

    def publish_targets(self, targets: LiveTargets) -> None:
        """Tell the workers which collections are live. A failure is logged, not raised: publish again at each tick."""
        ...


class CeleryWorkQueue(WorkQueue):
    """Queues in `redis`, through Celery; reports and marks in `redis-cache`. Holds no state of its own."""

    def send(self, message: Message, *, queue: str, expires_seconds: float | None = None) -> None:
        send(message, queue=queue, ignore_result=True, expires=expires_seconds)

    def statuses(self, queues: Iterable[str]) -> list[QueueStatus]:
        return queue_statuses(queues)

    def left_before(self, queue: str, seconds: float) -> float:
        return left_queue(queue, seconds)

    def worker_reports(self) -> tuple[WorkerReport, ...]:
        return published_reports()

    def publish_targets(self, targets: LiveTargets) -> None:
        live_targets.publish(targets)


_work_queue: WorkQueue = CeleryWorkQueue()


def work_queue() -> WorkQueue:
    """Return the process' work queue."""
    return _work_queue


@contextmanager
def use_work_queue(queue: WorkQueue) -> Iterator[None]:
    """Make `queue` the process' work queue, in all threads, until the block ends."""
    global _work_queue
    before, _work_queue = _work_queue, queue
    try:
        yield
    finally:
        _work_queue = before

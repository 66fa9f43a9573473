"""The boundary to the queue: web and workers send work through it, and the web asks it what waits and who works.

A process has one work queue, `work_queue()`: Celery on Redis, unless `use_work_queue` names another. Tests name
`tasks.web.memory.MemoryWorkQueue`, which needs no Redis.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from tasks import targets as published
from tasks.health.inspection import QueueStatus, queue_statuses
from tasks.health.reports import WorkerReport, published_reports
from tasks.messages.base import Message
from tasks.queues import Priority
from tasks.sending import send
from tasks.targets import LiveTargets
from tasks.web.queue_progress import left_queue
from tasks.web.withdrawn import withdraw


class WorkQueue(Protocol):
    """Named queues: first in, first out among messages of one priority. Safe to share between threads.

    Every method may block for a few seconds, so call none of them on an event loop.
    """

    def send(
        self,
        message: Message,
        *,
        queue: str,
        expires_seconds: float | None = None,
        priority: Priority | None = None,
    ) -> None:
        """Send the message to a worker that consumes `queue`. Does not wait for the worker; there is no result.

        Messages of a higher priority overtake it; None means the priority of its kind.
        A message that no worker has started within `expires_seconds` expires. A worker may get a message twice. Raises
        QueueUnavailable: the message may or may not have been sent, so send it again. Raises ValueError for a message
        without a task and for a queue that no role consumes.
        """
        ...

    def statuses(self, queues: Iterable[str]) -> list[QueueStatus]:
        """Return what waits in each of these queues, in the same order. Raises QueueUnavailable.

        A message that a worker has taken no longer waits, even if its task still runs. An expired message waits until a
        worker discards it.
        """
        ...

    def left_before(self, queue: str, seconds: float) -> float:
        """Return a time by the shared clock: every message sent before it left the queue at least `seconds` ago.

        This is a lower bound, and 0 while nothing is known yet. For an empty queue it is the time `seconds` ago: older
        messages have left, if perhaps only just. Raises QueueUnavailable.
        """
        ...

    def withdraw(self, ids: Collection[str]) -> None:
        """Let workers skip, as far as possible, photos that wait or are about to be read, by any of these ids.

        They are ids of photos, of their jobs or of their galleries. Never raises: the outcome of a photo that is
        indexed even so is ignored.
        """
        ...

    def worker_reports(self) -> tuple[WorkerReport, ...]:
        """Return the latest report of each running worker; none when the reports cannot be read."""
        ...

    def publish_targets(self, targets: LiveTargets) -> None:
        """Let the workers know which collections are live. Never raises: a tick publishes them again soon."""
        ...


class CeleryWorkQueue(WorkQueue):
    """Queues in `redis`, through Celery; worker reports in `redis-cache`. Holds no state and no connection."""

    def send(
        self,
        message: Message,
        *,
        queue: str,
        expires_seconds: float | None = None,
        priority: Priority | None = None,
    ) -> None:
        send(message, queue=queue, priority=priority, ignore_result=True, expires=expires_seconds)

    def statuses(self, queues: Iterable[str]) -> list[QueueStatus]:
        return queue_statuses(queues)

    def left_before(self, queue: str, seconds: float) -> float:
        return left_queue(queue, seconds)

    def withdraw(self, ids: Collection[str]) -> None:
        withdraw(ids)

    def worker_reports(self) -> tuple[WorkerReport, ...]:
        return published_reports()

    def publish_targets(self, targets: LiveTargets) -> None:
        published.publish(targets)


_work_queue: WorkQueue = CeleryWorkQueue()


def work_queue() -> WorkQueue:
    """Return the process' work queue."""
    return _work_queue


@contextmanager
def use_work_queue(queue: WorkQueue) -> Iterator[None]:
    """Make `queue` the work queue of this process, in all threads, until the block ends."""
    global _work_queue
    before, _work_queue = _work_queue, queue
    try:
        yield
    finally:
        _work_queue = before

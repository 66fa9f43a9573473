"""The queue without Redis: messages and answers stay in the process. For tests, and for trying things out.

Both classes keep the contract of their interface, `WorkQueue` and `Searches`: tests/contract runs the same tests on
them and on Redis. No worker runs here: the caller takes the messages and sets the answer to searches.
"""

import threading
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from tasks import clock as shared_clock
from tasks.errors import QueueUnavailable
from tasks.health.checks import HealthReport, judge, unreachable
from tasks.health.inspection import QueueStatus
from tasks.health.reports import WorkerReport
from tasks.messages.answers import A, Answer
from tasks.messages.base import Message, Target
from tasks.messages.detect import DetectResult
from tasks.messages.search import SearchedFaces, SearchRequest, SearchResult
from tasks.messages.verify import VerifyRequest, VerifyResult
from tasks.queues import Priority
from tasks.sending import check_sendable
from tasks.targets import LiveTargets, default_target
from tasks.web.backlog import FULL, SHARE_IS_FULL
from tasks.web.interfaces import Searches
from tasks.web.shares import Shares
from tasks.work_queue import WorkQueue
from worker.errors import Busy
from worker.metrics import MetricsSummary, SearchMetrics

M = TypeVar("M", bound=Message)


@dataclass(slots=True, kw_only=True)
class SentMessage:
    """A message on a queue; times are those of the queue's clock. `left_at` is None while it waits."""

    queue: str
    message: Message
    sent_at: float
    priority: Priority = Priority.FIRST
    expires_at: float | None = None
    left_at: float | None = None


class MemoryWorkQueue(WorkQueue):
    """A work queue whose messages wait until the caller takes them."""

    def __init__(self, *, are_workers_idle: bool = False, clock: Callable[[], float] = shared_clock.now) -> None:
        self._lock = threading.Lock()
        self.clock = clock
        #: Idle workers take each message as it is sent, so that none waits. Messages that are already waiting stay.
        self.are_workers_idle = are_workers_idle
        #: Every message that was sent, oldest first, whether or not it waits. The caller may clear it.
        self.sent: list[SentMessage] = []
        #: What `worker_reports` returns.
        self.reports: list[WorkerReport] = []
        #: What was published last.
        self.live_targets: LiveTargets | None = None
        #: Every id that was withdrawn.
        self.withdrawn: set[str] = set()
        #: Acts as if both Redis instances were down.
        self.is_down = False
        #: After this many messages the queue goes down, at the next send. None: it stays up.
        self.sends_until_down: int | None = None

    def send(
        self,
        message: Message,
        *,
        queue: str,
        expires_seconds: float | None = None,
        priority: Priority | None = None,
    ) -> None:
        check_sendable(message, queue)
        with self._lock:
            self.is_down = self.is_down or self.sends_until_down == 0
            self._check()
            if self.sends_until_down is not None:
                self.sends_until_down -= 1
            now = self.clock()
            sent = SentMessage(
                queue=queue,
                message=type(message).from_json(message.to_json()),  # what a worker would read
                sent_at=now,
                priority=message.priority if priority is None else priority,
                expires_at=None if expires_seconds is None else now + expires_seconds,
                left_at=now if self.are_workers_idle else None,
            )
            self.sent.append(sent)

    def statuses(self, queues: Iterable[str]) -> list[QueueStatus]:
        self._check()
        return [self._status(queue) for queue in queues]

    def left_before(self, queue: str, seconds: float) -> float:
        self._check()
        now = self.clock()
        if not self._waiting(queue):
            return now - seconds
        # Messages that left more recently do not count.
        not_long_gone = [
            each.sent_at
            for each in self.sent
            if each.queue == queue and (each.left_at is None or each.left_at > now - seconds)
        ]
        return min(not_long_gone) - seconds

    def withdraw(self, ids: Collection[str]) -> None:
        if not self.is_down:
            self.withdrawn.update(ids)

    def worker_reports(self) -> tuple[WorkerReport, ...]:
        return () if self.is_down else tuple(self.reports)

    def publish_targets(self, targets: LiveTargets) -> None:
        if not self.is_down:
            self.live_targets = targets

    # -- the workers' side --

    def take(self, queue: str) -> Message | None:
        """Take the message whose turn it is, as a worker does; None when there is none. Expired ones are dropped."""
        with self._lock:
            now = self.clock()
            for each in sorted(self._waiting(queue), key=lambda sent: sent.priority):
                each.left_at = now
                if each.expires_at is None or now < each.expires_at:
                    return each.message
        return None

    def messages(self, kind: type[M]) -> list[M]:
        """Return the messages of this kind in `sent`."""
        return [each.message for each in self.sent if isinstance(each.message, kind)]

    def _waiting(self, queue: str) -> list[SentMessage]:
        return [each for each in self.sent if each.queue == queue and each.left_at is None]

    def _status(self, queue: str) -> QueueStatus:
        waiting = self._waiting(queue)
        oldest_seconds = max(0.0, self.clock() - waiting[0].sent_at) if waiting else None
        first = sum(each.priority == Priority.FIRST for each in waiting)
        return QueueStatus(name=queue, waiting=len(waiting), oldest_seconds=oldest_seconds, first=first)

    def _check(self) -> None:
        if self.is_down:
            raise QueueUnavailable("The queue does not answer.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedSearch:
    """What `start_search` was called with."""

    query: bytes | UUID
    gallery_ids: tuple[str, ...]
    limit: int
    min_similarity: float | None
    faces: SearchedFaces
    timeout_seconds: float
    client: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentImages:
    """What `start_verification` or `start_detection` was called with."""

    images: tuple[bytes, ...]
    min_similarity: float | None = None
    timeout_seconds: float
    client: str


class MemorySearchClient(Searches):
    """Searches that all get the same answer, `result`, once it is set; also verifications and detections."""

    def __init__(self, *, target: Target | None = None) -> None:
        """`health_check` expects workers of `target`, by default of the one that the settings describe."""
        self._target = target or default_target()
        self._metrics = SearchMetrics()
        self._answered: dict[str, Answer] = {}
        #: The answer to every search, verification, detection. None: no worker answers.
        self.result: SearchResult | None = None
        self.verified: VerifyResult | None = None
        self.detected: DetectResult | None = None
        self.is_down = False
        self.is_full = False
        #: At most so many searches are in flight: all that were started and not cancelled, until there is an answer.
        self.most_in_flight = 64
        self._in_flight: dict[str, str] = {}  # clients by search
        self.reports: list[WorkerReport] = []
        self.started: list[StartedSearch] = []
        #: Every verification and detection.
        self.sent_images: list[SentImages] = []
        #: The timeout of each wait.
        self.waited: list[float] = []
        #: The ids of cancelled searches.
        self.cancelled: list[str] = []

    async def start_search(
        self,
        query: bytes | UUID,
        *,
        gallery_ids: tuple[str, ...],
        limit: int = 10,
        min_similarity: float | None = None,
        faces: SearchedFaces = "all",
        timeout_seconds: float = 30.0,
        client: str = "",
    ) -> str:
        await self.check_room(client)
        SearchRequest(
            target=self._target,
            gallery_ids=gallery_ids,
            image_key="",
            face_id=str(query),
            limit=limit,
            min_similarity=min_similarity,
            faces=faces,
        )  # refuses what no worker would understand
        search = StartedSearch(
            query=query,
            gallery_ids=gallery_ids,
            limit=limit,
            min_similarity=min_similarity,
            faces=faces,
            timeout_seconds=timeout_seconds,
            client=client,
        )
        self.started.append(search)
        return self._new_id(client)

    async def start_verification(
        self,
        images: tuple[bytes, bytes],
        *,
        min_similarity: float | None = None,
        timeout_seconds: float = 30.0,
        client: str = "",
    ) -> str:
        VerifyRequest(target=self._target, image_keys=("", ""), min_similarity=min_similarity)
        await self.check_room(client)
        self.sent_images.append(
            SentImages(images=images, min_similarity=min_similarity, timeout_seconds=timeout_seconds, client=client)
        )
        return self._new_id(client)

    async def start_detection(self, image: bytes, *, timeout_seconds: float = 30.0, client: str = "") -> str:
        await self.check_room(client)
        self.sent_images.append(SentImages(images=(image,), timeout_seconds=timeout_seconds, client=client))
        return self._new_id(client)

    async def wait_for_answer(self, search_id: str, kind: type[A], *, timeout_seconds: float) -> A | None:
        """Answers at once: without a result there is no answer in time, whatever the timeout."""
        self._check()
        self.waited.append(timeout_seconds)
        results = (self.result, self.verified, self.detected)
        result = next((each for each in results if isinstance(each, kind)), None)
        if search_id not in self._answered and result is not None and search_id not in self.cancelled:
            self._answered[search_id] = result
            if isinstance(result, SearchResult):
                self._metrics.record(response_time_ms=0.0, failed=result.error is not None)
        found = self._answered.get(search_id)
        return found if isinstance(found, kind) else None

    async def cancel_search(self, search_id: str) -> None:
        self.cancelled.append(search_id)
        self._in_flight.pop(search_id, None)

    async def check_room(self, client: str) -> None:
        self._check()
        shares = Shares()
        for other in () if self._has_answers else self._in_flight.values():
            shares.enter(other)
        places = 0 if self.is_full else self.most_in_flight - shares.in_flight
        if not shares.may_enter(client, places=places):
            raise Busy(SHARE_IS_FULL if places > 0 else FULL, retry_after_seconds=2)

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[None]:
        await self.check_room(client)
        yield

    async def health_check(self) -> HealthReport:
        return unreachable() if self.is_down else judge(tuple(self.reports), self._target)

    def get_metrics_summary(self) -> MetricsSummary:
        return self._metrics.summary()

    def _new_id(self, client: str) -> str:
        search_id = str(uuid.uuid4())
        self._in_flight[search_id] = client
        return search_id

    @property
    def _has_answers(self) -> bool:
        return any(answer is not None for answer in (self.result, self.verified, self.detected))

    def _check(self) -> None:
        if self.is_down:
            raise QueueUnavailable("The queue does not answer.")

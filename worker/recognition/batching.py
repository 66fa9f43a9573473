"""One model, many callers: items that wait at the same time run together, and every caller is answered."""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from worker.errors import Busy, FaceQueueError, ModelStopped, NotOpen

Item = TypeVar("Item")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Call(Generic[Item, Result]):
    """One caller's items; the first `taken` of them are in a run or done."""

    items: Sequence[Item]
    taken: int = 0
    results: dict[int, Result] = field(default_factory=dict)
    answer: Future[list[Result]] = field(default_factory=Future)

    @property
    def left(self) -> int:
        return len(self.items) - self.taken


@dataclass(slots=True)
class _Taken(Generic[Item, Result]):
    """One item in a run: number `place` of its call."""

    call: _Call[Item, Result]
    place: int

    @property
    def item(self) -> Item:
        return self.call.items[self.place]


class Batcher(Generic[Item, Result]):
    """Groups the items of all callers into model runs. Safe to share between threads of the process that made it.

    A free runner (a thread) immediately takes its share of the waiting items; items collect only while runs are under
    way. Callers take turns, one item each, so a call with a thousand items does not delay a call with one.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        name: str,
        batch_sizes: Sequence[int],
        pads: bool,
        runners: int = 1,
        max_waiting: int,
    ) -> None:
        """Start the runners.

        `run` returns one result per item, in order; several runners may call it at the same time. A run takes at most
        as many items as the largest of `batch_sizes`. When `run` pads to the next size itself (`pads`), a run takes all
        it can; otherwise it takes exactly one of the sizes, so that no padding is needed.
        """
        self._run = run
        self._name = name
        self._sizes = sorted(batch_sizes)
        self._pads = pads
        self._max_waiting = max_waiting
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[_Call[Item, Result]] = deque()
        self._free_runners = 0
        #: Why no more work is accepted: an error's class and its sentence; None while work is accepted.
        self._end: tuple[type[FaceQueueError], str] | None = None
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name} runner {number}", daemon=True)
            for number in range(runners)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_healthy(self) -> bool:
        """False once a runner has died, after close(), and in a forked child."""
        return self._end is None and os.getpid() == self._process

    @property
    def waiting(self) -> int:
        """How many items are waiting for a run."""
        with self._lock:
            return sum(call.left for call in self._waiting)

    def run(self, items: Sequence[Item]) -> list[Result]:
        """Return the items' results, in order. Blocks until all are done.

        Raises what `run` raised for the first item that failed when run alone; Busy immediately when `max_waiting`
        items are ahead of this call's first; ModelStopped when a runner died; NotOpen after close() or in a forked
        child.

        Because callers take turns, no more than one run's items of another call are ahead. So a call of any size is
        accepted when there is room, and does not make others busy.
        """
        if os.getpid() != self._process:
            raise NotOpen(f"The model {self._name} belongs to another process: open it after the fork.")
        if not items:
            return []
        call: _Call[Item, Result] = _Call(items)
        try:
            self._add(call)
            return call.answer.result()
        finally:
            self._forget(call)

    def close(self) -> None:
        """Stop the runners. Blocks until the current runs are done and answered; waiting calls get NotOpen.

        Safe to call twice.
        """
        if os.getpid() != self._process:
            return  # the threads are the parent's
        self._stop(NotOpen, f"The model {self._name} was closed.")
        for thread in self._threads:
            thread.join()

    # What callers do.

    def _add(self, call: _Call[Item, Result]) -> None:
        with self._changed:
            if self._end is not None:
                kind, sentence = self._end
                raise kind(sentence)
            ahead = sum(min(other.left, self._sizes[-1]) for other in self._waiting)
            if ahead >= self._max_waiting:
                raise Busy(f"{ahead} items wait for {self._name}; ask again later.")
            self._waiting.append(call)
            self._changed.notify(len(call.items))

    def _forget(self, call: _Call[Item, Result]) -> None:
        """Forget a call that failed or whose caller was interrupted."""
        with self._lock:
            call.answer.cancel()
            if call in self._waiting:
                self._waiting.remove(call)

    # What runners do.

    def _serve(self) -> None:
        batch: list[_Taken[Item, Result]] = []
        try:
            while batch := self._take():
                self._answer(batch)
                batch = []  # its pictures must not stay in memory until the next batch
        except BaseException as error:  # whatever happened, nobody may go on waiting for this thread
            logger.critical("A thread that runs the model %s died.", self._name, exc_info=error)
            self._stop(
                ModelStopped,
                f"A thread that runs the model {self._name} died; its worker must be restarted.",
                under_way=[taken.call for taken in batch],
            )

    def _take(self) -> list[_Taken[Item, Result]]:
        """Wait for items and take a share of them, one item of each caller in turn; an empty list once stopped."""
        with self._changed:
            self._free_runners += 1
            try:
                while not self._waiting and self._end is None:
                    self._changed.wait()
                return [self._take_one() for _ in range(self._share())]
            finally:
                self._free_runners -= 1

    def _share(self) -> int:
        """How many items to take: the free runners share the waiting items, because parallel runs finish sooner."""
        waiting = sum(call.left for call in self._waiting)
        share = -(-waiting // self._free_runners)
        if self._pads:
            return min(share, self._sizes[-1])
        return max((size for size in self._sizes if size <= share), default=share)

    def _take_one(self) -> _Taken[Item, Result]:
        call = self._waiting.popleft()
        taken = _Taken(call, call.taken)
        call.taken += 1
        if call.left:
            self._waiting.append(call)
        return taken

    def _answer(self, batch: Sequence[_Taken[Item, Result]]) -> None:
        """Run the batch; when it fails, run each item alone, so that only the caller of a bad item gets the error."""
        try:
            results = self._run([taken.item for taken in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{self._name} answered {len(batch)} items with {len(results)} results.")
        except Exception as error:  # noqa: BLE001  the caller decides
            if len(batch) == 1:
                self._fail(batch[0].call, error)
                return
            logger.warning("A run of %s failed; its %d items are run individually: %s", self._name, len(batch), error)
        else:
            for taken, result in zip(batch, results, strict=True):
                self._hand_over(taken, result)
            return
        for taken in batch:
            if not taken.call.answer.done():
                self._answer([taken])

    def _hand_over(self, taken: _Taken[Item, Result], result: Result) -> None:
        call = taken.call
        with self._lock:
            call.results[taken.place] = result
            if len(call.results) == len(call.items) and not call.answer.done():
                call.answer.set_result([call.results[place] for place in range(len(call.items))])

    def _fail(self, call: _Call[Item, Result], error: BaseException) -> None:
        with self._lock:
            if not call.answer.done():
                call.answer.set_exception(error)

    def _stop(
        self, kind: type[FaceQueueError], sentence: str, *, under_way: Sequence[_Call[Item, Result]] = ()
    ) -> None:
        """Accept no more work; fail the waiting calls and those `under_way`. Later calls get the first reason."""
        with self._changed:
            self._end = self._end or (kind, sentence)
            abandoned = [*self._waiting, *under_way]
            self._waiting.clear()
            self._changed.notify_all()
        for call in abandoned:
            # A new error for each: each is raised in another thread.
            self._fail(call, kind(sentence))

"""One model, many callers: what waits at a moment is run together, and everyone is answered whatever fails."""

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
    """One caller's items; the first `taken` of them are in a run, or were."""

    items: Sequence[Item]
    taken: int = 0
    results: dict[int, Result] = field(default_factory=dict)
    answer: Future[list[Result]] = field(default_factory=Future)

    @property
    def left(self) -> int:
        return len(self.items) - self.taken


@dataclass(slots=True)
class _Taken(Generic[Item, Result]):
    """One item on its way through a run: number `place` of its call."""

    call: _Call[Item, Result]
    place: int

    @property
    def item(self) -> Item:
        return self.call.items[self.place]


class Batcher(Generic[Item, Result]):
    """Makes model runs out of the items of all callers. Safe to share between threads of the process that made it.

    A runner (a thread) that is free takes its share of what waits, at once: the run under way is the only window.
    Callers take turns, an item each, so one with a thousand items does not hold up another with one.
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

        `run` returns one result per item, in order; runners call it at the same time. A run takes as many items as the
        largest of `batch_sizes` at most. Where `run` pads to the next size (`pads`), a run takes all it can; else it
        takes only as many as fill a size, so that nothing is computed in vain.
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
        #: Why nothing is taken any more: an error's class and its sentence; None while it is.
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
        """How many items wait for a run."""
        with self._lock:
            return sum(call.left for call in self._waiting)

    def run(self, items: Sequence[Item]) -> list[Result]:
        """Return the items' results, in order. Blocks until they are there.

        Raises what `run` raised for the first of the items that failed alone; Busy at once when `max_waiting` items
        stand before this call's first; ModelStopped when a runner died; NotOpen after close() or in a forked child.

        Of another call no more than one run's items stand before it, for callers take turns. So a call of any size is
        taken when there is room, and does not make others busy.
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
        """End the runners; blocks while runs are under way, and these are answered. What waits gets NotOpen.

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
        """Leave nothing of a call behind that failed or whose caller was interrupted."""
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
                batch = []  # its pictures must not stay in memory until the next one comes
        except BaseException as error:  # whatever it is, nobody may wait for this thread
            logger.critical("A thread that runs the model %s died.", self._name, exc_info=error)
            self._stop(
                ModelStopped,
                f"A thread that runs the model {self._name} died; its worker must be restarted.",
                under_way=[taken.call for taken in batch],
            )

    def _take(self) -> list[_Taken[Item, Result]]:
        """Wait for items and take a share of them, an item of each caller in turn; nothing when it is over."""
        with self._changed:
            self._free_runners += 1
            try:
                while not self._waiting and self._end is None:
                    self._changed.wait()
                return [self._take_one() for _ in range(self._share())]
            finally:
                self._free_runners -= 1

    def _share(self) -> int:
        """How many items to take: the free runners share what waits, for runs side by side end sooner."""
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
        """Run the batch; when that fails run each of its items alone, so that only a bad one's caller is told."""
        try:
            results = self._run([taken.item for taken in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{self._name} answered {len(batch)} items with {len(results)} results.")
        except Exception as error:  # noqa: BLE001  the caller judges it
            if len(batch) == 1:
                self._fail(batch[0].call, error)
                return
            logger.warning("A run of %s failed; its %d items are run one by one: %s", self._name, len(batch), error)
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
        """Take nothing any more; fail what waits and what is `under_way`. The first reason stands for later calls."""
        with self._changed:
            self._end = self._end or (kind, sentence)
            abandoned = [*self._waiting, *under_way]
            self._waiting.clear()
            self._changed.notify_all()
        for call in abandoned:
            # A new error for each: they are raised in threads of their own.
            self._fail(call, kind(sentence))

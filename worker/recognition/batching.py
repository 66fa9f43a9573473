"""One model, many callers: items that wait at the same time run together, and every caller is answered."""

import logging
import os
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
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
    """Items of one call in a run: those at these places."""

    call: _Call[Item, Result]
    places: range

    @property
    def items(self) -> Sequence[Item]:
        return self.call.items[self.places.start : self.places.stop]


#: What one run gets.
_Batch = list[_Taken[Item, Result]]


class Batcher(Generic[Item, Result]):
    """Groups the items of all callers into model runs. Safe to share between threads of the process that made it.

    There are at most `runners` runs at a time. A free runner (a thread) immediately takes its share of the waiting
    items; items collect only while runs are under way. Callers take turns, one item each, so a call with a thousand
    items does not delay a call with one.

    A caller does a runner's work itself as long as a run is allowed and nobody else waits: going to another thread and
    back costs more than a small run. Never on the main thread: a signal's exception must not end up in a run.
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

        `run` returns one result per item, in order; several threads may call it at the same time. A run takes at most
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
        self._most_runs = self._free_runs = runners
        #: Why no more work is accepted: an error's class and its sentence; None while work is accepted.
        self._end: tuple[type[FaceQueueError], str] | None = None
        self._threads = [
            threading.Thread(target=self._serve, args=(self._take,), name=f"{name} runner {number}", daemon=True)
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
        """Return the items' results, in order. Blocks until all are done. What is run together is a slice of `items`
        where no other call shares the run, else a list.

        Raises what `run` raised for the first item that failed when run alone; Busy immediately when `max_waiting`
        items are ahead of this call's first; ModelStopped when a runner died; NotOpen after close() or in a forked
        child.

        Because callers take turns, no more than one run's items of another call are ahead. So a call of any size is
        accepted when there is room, and does not make others busy.
        """
        if os.getpid() != self._process:
            raise NotOpen(f"The model {self._name} belongs to another process: open it after the fork.")
        if not len(items):  # of an array, "not" would ask for its values
            return []
        call: _Call[Item, Result] = _Call(items)
        try:
            self._add(call)
            self._serve(partial(self._take_own, call))
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
        with self._changed:
            self._changed.wait_for(lambda: self._free_runs == self._most_runs)  # those of callers

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

    def _take_own(self, call: _Call[Item, Result]) -> _Batch[Item, Result]:
        """Take a share of the call's items if the caller may run them; else an empty batch, and runners do the rest."""
        with self._changed:
            is_alone = len(self._waiting) == 1 and self._waiting[0] is call and not call.answer.done()
            may_run = is_alone and threading.current_thread() is not threading.main_thread()
            batch = self._take_share() if may_run else []
            if self._waiting and self._free_runs:
                self._changed.notify(min(self._free_runs, sum(each.left for each in self._waiting)))
            return batch

    def _forget(self, call: _Call[Item, Result]) -> None:
        """Forget a call that failed or whose caller was interrupted."""
        with self._lock:
            call.answer.cancel()
            if call in self._waiting:
                self._waiting.remove(call)

    # What runners do, and callers for their own items.

    def _serve(self, take: Callable[[], _Batch[Item, Result]]) -> None:
        batch: _Batch[Item, Result] = []
        try:
            while batch := take():
                try:
                    self._answer(batch)
                finally:
                    self._end_run()
                batch = []  # its pictures must not stay in memory until the next batch
        except BaseException as error:  # whatever happened, nobody may go on waiting for this thread
            logger.critical("A thread that runs the model %s died.", self._name, exc_info=error)
            self._stop(
                ModelStopped,
                f"A thread that runs the model {self._name} died; its worker must be restarted.",
                under_way=[taken.call for taken in batch],
            )

    def _take(self) -> _Batch[Item, Result]:
        """Wait for items and a free run, and take a share of the items; an empty batch once stopped."""
        with self._changed:
            while self._end is None and not (self._waiting and self._free_runs):
                self._changed.wait()
            return self._take_share()

    def _take_share(self) -> _Batch[Item, Result]:
        """Take what the next run gets, as many items of each caller; an empty batch when no run is free."""
        if not (self._waiting and self._free_runs):
            return []
        left, batch = self._share(), []
        self._free_runs -= 1
        while left:
            for callers in range(len(self._waiting), 0, -1):
                taken = self._take_from_next(-(-left // callers))
                batch.append(taken)
                left -= len(taken.places)
                if not left:
                    break
        return batch

    def _end_run(self) -> None:
        """Give a run back. Whoever does so takes, or wakes another, next."""
        with self._changed:
            self._free_runs += 1
            if self._end is not None:
                self._changed.notify_all()

    def _share(self) -> int:
        """How many items to take: the free runs share the waiting items, because parallel runs finish sooner."""
        waiting = sum([call.left for call in self._waiting])
        share = -(-waiting // self._free_runs)
        not_larger = bisect_right(self._sizes, share)
        if self._pads or not not_larger:
            return min(share, self._sizes[-1])
        return self._sizes[not_larger - 1]

    def _take_from_next(self, most: int) -> _Taken[Item, Result]:
        """Take items of the call whose turn it is; the rest of them go to the end of the queue."""
        call = self._waiting.popleft()
        taken = _Taken(call, range(call.taken, call.taken + min(most, call.left)))
        call.taken = taken.places.stop
        if call.left:
            self._waiting.append(call)
        return taken

    def _answer(self, batch: _Batch[Item, Result]) -> None:
        """Run the batch; when it fails, run each item alone, so that only the caller of a bad item gets the error."""
        items = batch[0].items if len(batch) == 1 else [item for taken in batch for item in taken.items]
        try:
            results = self._run(items)
            if len(results) != len(items):
                raise RuntimeError(f"{self._name} answered {len(items)} items with {len(results)} results.")
        except Exception as error:  # noqa: BLE001  the caller decides
            if len(items) == 1:
                self._fail(batch[0].call, error)
                return
            logger.warning("A run of %s failed; its %d items are run individually: %s", self._name, len(items), error)
        else:
            self._hand_over(batch, results)
            return
        for call, place in [(taken.call, place) for taken in batch for place in taken.places]:
            if not call.answer.done():
                self._answer([_Taken(call, range(place, place + 1))])

    def _hand_over(self, batch: _Batch[Item, Result], results: Sequence[Result]) -> None:
        each = iter(results)
        with self._lock:
            for taken in batch:
                call = taken.call
                call.results.update(zip(taken.places, each, strict=False))  # the places end first
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

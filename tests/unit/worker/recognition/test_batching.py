"""Callers on many threads share runs; each gets its own results, and an answer whatever fails."""

import multiprocessing
import random
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import FrameType
from typing import TypeVar

import pytest

from worker.errors import Busy, ModelStopped, NotOpen
from worker.recognition.batching import Batcher

Returned = TypeVar("Returned")

#: Long enough for any machine; only a test that hangs ever waits for it.
PATIENCE_SECONDS = 30


@dataclass(eq=False)
class Item:
    """Compared by identity, so that nobody's result passes for another's."""

    is_bad: bool = False


@dataclass(eq=False)
class Answer:
    item: Item


class BadItem(Exception):
    def __init__(self, item: Item) -> None:
        super().__init__("bad")
        self.item = item


def answers(items: Sequence[Item]) -> list[Answer]:
    """Answer a run as a model does: all of it, or none of it when one item is bad."""
    for item in items:
        if item.is_bad:
            raise BadItem(item)
    return [Answer(item) for item in items]


@dataclass
class Gate:
    """A run that waits until the test lets it go, and remembers what it was given."""

    runs: list[list[Item]] = field(default_factory=list)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    opened: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, items: Sequence[Item]) -> list[Answer]:
        self.runs.append(list(items))
        self.entered.release()
        assert self.opened.acquire(timeout=PATIENCE_SECONDS)
        return answers(items)

    def wait_for_a_run(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE_SECONDS)

    def open(self, runs: int = 1000) -> None:
        self.opened.release(runs)


@pytest.fixture
def started() -> Iterator[list[Batcher[Item, Answer]]]:
    """What a test starts is closed after it."""
    batchers: list[Batcher[Item, Answer]] = []
    yield batchers
    for batcher in batchers:
        batcher.close()


@pytest.fixture
def start(started: list[Batcher[Item, Answer]]) -> Callable[..., Batcher[Item, Answer]]:
    def make(run: Callable[[Sequence[Item]], Sequence[Answer]] = answers, **settings: object) -> Batcher[Item, Answer]:
        defaults: dict[str, object] = {"name": "model", "batch_sizes": (1, 2, 4, 8), "pads": True, "max_waiting": 512}
        batcher: Batcher[Item, Answer] = Batcher(run, **{**defaults, **settings})  # type: ignore[arg-type]
        started.append(batcher)
        return batcher

    return make


class Threads:
    """As an executor, with a daemon thread for each call: nobody waits at the end for one that hangs."""

    def submit(self, function: Callable[..., Returned], *arguments: object) -> Future[Returned]:
        future: Future[Returned] = Future()

        def call() -> None:
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=call, daemon=True).start()
        return future


@pytest.fixture
def threads() -> Threads:
    return Threads()


def wait_until_waiting(batcher: Batcher[Item, Answer], items: int) -> None:
    """Return when as many items wait in the batcher: without this a test could not know that a thread has called."""
    pause = threading.Event()
    for _ in range(PATIENCE_SECONDS * 1000):
        if batcher.waiting == items:
            return
        pause.wait(0.001)
    raise AssertionError(f"{batcher.waiting} items wait, not {items}")


def own(items: Sequence[Item], results: Sequence[Answer]) -> bool:
    return [result.item for result in results] == list(items)


@pytest.mark.parametrize("seed", range(20))
def test_every_item_of_every_caller_gets_its_own_result_or_its_own_error(
    seed: int, start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    chance = random.Random(seed)
    largest = chance.choice((1, 3, 8))
    sizes_seen: list[int] = []
    most_runs = chance.choice((1, 2, 4))
    free_runs = threading.Semaphore(most_runs)

    def run(items: Sequence[Item]) -> list[Answer]:
        assert free_runs.acquire(blocking=False), "more runs at a time than runners"
        sizes_seen.append(len(items))
        try:
            return answers(items)
        finally:
            free_runs.release()

    batcher = start(run, batch_sizes=sorted({1, largest}), pads=chance.random() < 0.5, runners=most_runs)
    seeds = [chance.random() for _ in range(16)]

    def caller(own_seed: float) -> None:
        dice = random.Random(own_seed)
        for _ in range(30):
            items = [Item(is_bad=dice.random() < 0.02) for _ in range(dice.choice((0, 1, 1, 2, 5, 20)))]
            bad = [item for item in items if item.is_bad]
            if not bad:
                assert own(items, batcher.run(items))
                continue
            with pytest.raises(BadItem) as caught:
                batcher.run(items)
            assert caught.value.item in bad

    for each in [threads.submit(caller, own_seed) for own_seed in seeds]:
        each.result(timeout=PATIENCE_SECONDS)
    assert max(sizes_seen) <= largest
    assert batcher.is_healthy
    assert batcher.waiting == 0


def test_what_waits_while_a_run_is_under_way_shares_the_next_one(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    gate = Gate()
    batcher = start(gate)
    calls = [[Item()] for _ in range(6)]
    first = threads.submit(batcher.run, calls[0])
    gate.wait_for_a_run()
    others = [threads.submit(batcher.run, call) for call in calls[1:]]
    wait_until_waiting(batcher, 5)
    gate.open()

    results = [each.result(PATIENCE_SECONDS) for each in (first, *others)]

    assert [len(run) for run in gate.runs] == [1, 5]
    assert all(own(call, result) for call, result in zip(calls, results, strict=True))


@pytest.mark.parametrize(("pads", "runs"), [(True, [5]), (False, [4, 1])])
def test_five_items_are_one_padded_run_or_two_that_waste_nothing(
    pads: bool, runs: list[int], start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    gate = Gate()
    batcher = start(gate, pads=pads)
    items = [Item() for _ in range(5)]
    gate.open()

    assert own(items, batcher.run(items))
    assert [len(run) for run in gate.runs] == runs


def test_runners_that_are_free_share_what_waits(start: Callable[..., Batcher[Item, Answer]], threads: Threads) -> None:
    gate = Gate()
    batcher = start(gate, runners=2)
    items = [Item() for _ in range(8)]
    call = threads.submit(batcher.run, items)
    gate.wait_for_a_run()
    gate.wait_for_a_run()

    assert sorted(len(run) for run in gate.runs) == [4, 4]
    gate.open()
    assert own(items, call.result(PATIENCE_SECONDS))


def test_a_caller_runs_its_items_itself_while_nobody_else_waits(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    runners: list[int] = []

    def run(items: Sequence[Item]) -> list[Answer]:
        runners.append(threading.get_ident())
        return answers(items)

    batcher = start(run)

    def call() -> int:
        batcher.run([Item() for _ in range(20)])
        return threading.get_ident()

    assert [threads.submit(call).result(PATIENCE_SECONDS)] * 3 == runners


def test_the_main_thread_runs_nothing_because_a_signal_could_interrupt_it(
    start: Callable[..., Batcher[Item, Answer]],
) -> None:
    runners: list[threading.Thread] = []

    def run(items: Sequence[Item]) -> list[Answer]:
        runners.append(threading.current_thread())
        return answers(items)

    start(run).run([Item()])

    assert runners != [threading.main_thread()]
    assert len(runners) == 1


def test_what_comes_while_a_caller_runs_its_items_is_run_with_the_rest_of_them(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    gate = Gate()
    batcher = start(gate)
    own_items, others = [Item() for _ in range(12)], [Item() for _ in range(4)]
    first = threads.submit(batcher.run, own_items)
    gate.wait_for_a_run()
    second = threads.submit(batcher.run, others)
    wait_until_waiting(batcher, 8)
    gate.open()

    assert own(own_items, first.result(PATIENCE_SECONDS))
    assert own(others, second.result(PATIENCE_SECONDS))
    assert gate.runs == [own_items[:8], [*own_items[8:], *others]]


def test_a_caller_whose_item_is_bad_goes_on_with_nothing(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    runs: list[int] = []

    def run(items: Sequence[Item]) -> list[Answer]:
        runs.append(len(items))
        return answers(items)

    batcher = start(run, batch_sizes=(1,))

    with pytest.raises(BadItem):
        threads.submit(batcher.run, [Item(is_bad=True), Item(), Item()]).result(PATIENCE_SECONDS)
    assert len(runs) <= 2, "a runner may have taken the second one"
    assert batcher.waiting == 0
    assert batcher.is_healthy


def test_a_caller_with_a_thousand_items_does_not_make_another_wait_for_them(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    gate = Gate()
    batcher = start(gate)
    many = threads.submit(batcher.run, [Item() for _ in range(1000)])
    gate.wait_for_a_run()
    one = [Item()]
    other = threads.submit(batcher.run, one)
    wait_until_waiting(batcher, 1000 - 8 + 1)
    gate.open(2)

    assert own(one, other.result(PATIENCE_SECONDS))
    assert not many.done()
    gate.open()
    assert len(many.result(PATIENCE_SECONDS)) == 1000


def test_nothing_in_is_nothing_out(start: Callable[..., Batcher[Item, Answer]]) -> None:
    assert start().run([]) == []


def test_what_was_answered_is_not_kept_until_the_next_run(
    start: Callable[..., Batcher[Item, Answer]],
) -> None:
    batcher = start()
    item = Item()
    let_go = threading.Event()
    weakref.finalize(item, let_go.set)
    batcher.run([item])
    del item

    assert let_go.wait(PATIENCE_SECONDS)


def test_a_bad_item_fails_alone(start: Callable[..., Batcher[Item, Answer]], threads: Threads) -> None:
    gate = Gate()
    batcher = start(gate)
    first = threads.submit(batcher.run, [Item()])
    gate.wait_for_a_run()
    good, bad = [Item(), Item()], [Item(), Item(is_bad=True)]
    good_call, bad_call = threads.submit(batcher.run, good), threads.submit(batcher.run, bad)
    wait_until_waiting(batcher, 4)
    gate.open()

    assert own(good, good_call.result(PATIENCE_SECONDS))
    with pytest.raises(BadItem) as caught:
        bad_call.result(PATIENCE_SECONDS)
    assert caught.value.item is bad[1]
    assert len(first.result(PATIENCE_SECONDS)) == 1
    assert len(gate.runs[1]) == 4, "all four were in the run that failed"
    assert batcher.is_healthy


@pytest.mark.parametrize("wrong", [lambda made: made[:-1], lambda made: [*made, *made]])
def test_a_wrong_number_of_results_is_an_error_and_nobody_gets_anothers(
    wrong: Callable[[list[Answer]], list[Answer]], start: Callable[..., Batcher[Item, Answer]]
) -> None:
    batcher = start(lambda items: wrong(answers(items)))

    with pytest.raises(RuntimeError, match="model answered"):
        batcher.run([Item(), Item()])
    assert batcher.is_healthy


def test_a_wrong_number_of_results_for_many_is_made_good_one_by_one(
    start: Callable[..., Batcher[Item, Answer]],
) -> None:
    batcher = start(lambda items: answers(items)[:1])
    items = [Item() for _ in range(5)]

    assert own(items, batcher.run(items))


def test_a_call_beyond_the_bound_is_told_busy_at_once(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    gate = Gate()
    batcher = start(gate, max_waiting=2)
    calls = [threads.submit(batcher.run, [Item()])]
    gate.wait_for_a_run()
    calls += [threads.submit(batcher.run, [Item()]) for _ in range(2)]
    wait_until_waiting(batcher, 2)

    with pytest.raises(Busy, match="2 items wait for model"):
        batcher.run([Item()])

    gate.open()
    assert all(len(call.result(PATIENCE_SECONDS)) == 1 for call in calls)
    assert len(batcher.run([Item()])) == 1


def test_a_call_larger_than_the_bound_is_served_and_does_not_make_others_busy(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    gate = Gate()
    batcher = start(gate, max_waiting=10)
    many = threads.submit(batcher.run, [Item() for _ in range(100)])
    gate.wait_for_a_run()
    other = threads.submit(batcher.run, [Item()])
    wait_until_waiting(batcher, 100 - 8 + 1)
    gate.open()

    assert len(many.result(PATIENCE_SECONDS)) == 100
    assert len(other.result(PATIENCE_SECONDS)) == 1


def test_a_dead_runner_fails_its_callers_the_waiting_and_the_later_ones_and_is_unhealthy(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    entered, let_die = threading.Event(), threading.Event()

    def die(items: Sequence[Item]) -> list[Answer]:
        entered.set()
        assert let_die.wait(PATIENCE_SECONDS)
        raise SystemExit("out of memory")

    batcher = start(die)
    under_way = threads.submit(batcher.run, [Item()])
    assert entered.wait(PATIENCE_SECONDS)
    waiting = threads.submit(batcher.run, [Item(), Item()])
    wait_until_waiting(batcher, 2)
    assert batcher.is_healthy
    let_die.set()

    for call in (under_way, waiting):
        with pytest.raises(ModelStopped, match="model"):
            call.result(PATIENCE_SECONDS)
    with pytest.raises(ModelStopped):
        batcher.run([Item()])
    assert not batcher.is_healthy
    assert ModelStopped.retryable


def test_a_run_under_way_beside_a_dying_one_still_answers(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    gate = Gate()

    def run(items: Sequence[Item]) -> list[Answer]:
        if items[0].is_bad:
            raise SystemExit
        return gate(items)

    batcher = start(run, runners=2)
    good = [Item()]
    call = threads.submit(batcher.run, good)
    gate.wait_for_a_run()
    with pytest.raises(ModelStopped):
        batcher.run([Item(is_bad=True)])
    gate.open()

    assert own(good, call.result(PATIENCE_SECONDS))
    assert not batcher.is_healthy


def test_closing_answers_what_is_under_way_and_refuses_what_waits(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    gate = Gate()
    batcher = start(gate)
    under_way = [Item()]
    first = threads.submit(batcher.run, under_way)
    gate.wait_for_a_run()
    second = threads.submit(batcher.run, [Item()])
    wait_until_waiting(batcher, 1)
    closing = threads.submit(batcher.close)

    with pytest.raises(NotOpen):
        second.result(PATIENCE_SECONDS)
    gate.open()
    assert own(under_way, first.result(PATIENCE_SECONDS))
    closing.result(PATIENCE_SECONDS)
    batcher.close()
    assert not batcher.is_healthy
    with pytest.raises(NotOpen, match="closed"):
        batcher.run([Item()])


def test_closing_ends_the_threads_which_bear_the_models_name() -> None:
    batcher: Batcher[Item, Answer] = Batcher(
        answers, name="some-recognizer", batch_sizes=(1,), pads=False, runners=3, max_waiting=1
    )

    def runners() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if "some-recognizer" in thread.name]

    assert [thread.daemon for thread in runners()] == [True] * 3
    batcher.close()
    assert runners() == []


class Interrupted(Exception):
    pass


def test_an_interrupted_caller_leaves_nothing_behind(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    """The main thread is interrupted by a signal while it waits, as Ctrl-C would."""
    gate = Gate()
    batcher = start(gate)
    other = [Item()]
    first = threads.submit(batcher.run, other)
    gate.wait_for_a_run()
    abandoned = [Item(), Item()]

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise Interrupted

    def interrupt_when_it_waits() -> None:
        wait_until_waiting(batcher, 2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        interrupting = threads.submit(interrupt_when_it_waits)
        with pytest.raises(Interrupted):
            batcher.run(abandoned)
        interrupting.result(PATIENCE_SECONDS)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert batcher.waiting == 0
    gate.open()
    assert own(other, first.result(PATIENCE_SECONDS))
    assert len(batcher.run([Item()])) == 1
    assert not any(item in run for run in gate.runs for item in abandoned)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_instead_of_waiting_for_ever(start: Callable[..., Batcher[Item, Answer]]) -> None:
    batcher = start()
    batcher.run([Item()])

    def child() -> None:
        with pytest.raises(NotOpen, match="process"):
            batcher.run([Item()])
        assert not batcher.is_healthy
        batcher.close()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(PATIENCE_SECONDS)

    assert process.exitcode == 0
    assert len(batcher.run([Item()])) == 1


def test_results_do_not_wait_for_the_rest_of_a_batch_that_failed(
    start: Callable[..., Batcher[Item, Answer]], threads: Threads
) -> None:
    """After a failed run its items are run one by one; whoever's are done is answered."""
    gate = Gate()
    batcher = start(gate)
    first = threads.submit(batcher.run, [Item()])
    gate.wait_for_a_run()
    early = [Item()]
    calls: list[Future[list[Answer]]] = []
    for number, items in enumerate((early, [Item(is_bad=True)], [Item()]), start=1):
        calls.append(threads.submit(batcher.run, items))
        wait_until_waiting(batcher, number)
    gate.open(3)  # the first run, the one that fails, and the early item alone

    assert own(early, calls[0].result(PATIENCE_SECONDS))
    assert not calls[2].done()
    gate.open()
    assert len(calls[2].result(PATIENCE_SECONDS)) == 1
    assert len(first.result(PATIENCE_SECONDS)) == 1

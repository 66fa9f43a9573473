"""So many at a time, in the order in which they came."""

import threading
from collections.abc import Iterator

import pytest

from tests.waiting import eventually
from worker.gates import Gate, PictureGate

PLACES = 10


class Visitor:
    """A thread that enters, stays until it is told to leave, and then leaves."""

    def __init__(self, gate: Gate | PictureGate, places: int) -> None:
        self._entering = gate.take(places) if isinstance(gate, Gate) else gate.admit(places)
        self._has_come, self._may_leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._entering:
            self._has_come.set()
            self._may_leave.wait()

    @property
    def is_in(self) -> bool:
        return self._has_come.is_set()

    def wait_until_in(self) -> None:
        assert self._has_come.wait(30)

    def leave(self) -> None:
        self._may_leave.set()
        self._thread.join(30)


@pytest.fixture
def gate() -> Iterator[Gate]:
    return Gate(PLACES)


def visitors(gate: Gate, *places: int) -> list[Visitor]:
    """Let visitors come in that order: each is in, or known to wait, before the next one comes."""
    found: list[Visitor] = []
    for each in places:
        found.append(Visitor(gate, each))
        eventually(lambda: gate.waiting + sum(visitor.is_in for visitor in found) == len(found), "it has come")
    return found


def test_as_many_are_in_as_there_are_places(gate: Gate) -> None:
    found = visitors(gate, 5, 4, 1, 1)
    assert [each.is_in for each in found] == [True, True, True, False]
    found[1].leave()
    found[3].wait_until_in()
    for each in found:
        each.leave()


def test_who_wants_all_places_waits_for_the_others_and_keeps_everybody_out(gate: Gate) -> None:
    first, alone, later = visitors(gate, 1, PLACES, 1)
    assert (first.is_in, alone.is_in, later.is_in) == (True, False, False)
    first.leave()
    alone.wait_until_in()
    assert not later.is_in
    alone.leave()
    later.wait_until_in()
    later.leave()


def test_who_wants_more_places_than_there_are_takes_them_all(gate: Gate) -> None:
    one, other = visitors(gate, PLACES + 5, 1)
    assert (one.is_in, other.is_in) == (True, False)
    one.leave()
    other.wait_until_in()
    other.leave()


def test_who_fails_inside_leaves_too(gate: Gate) -> None:
    with pytest.raises(ZeroDivisionError), gate.take(PLACES):
        raise ZeroDivisionError
    with gate.take(PLACES):
        pass


def test_small_pictures_pass_beside_large_ones_that_wait() -> None:
    gate = PictureGate(1000)
    large = [Visitor(gate, 400) for _ in range(5)]
    eventually(lambda: sum(each.is_in for each in large) == 2, "two large pictures are in")
    small = [Visitor(gate, 25) for _ in range(8)]
    for each in small:
        each.wait_until_in()
    assert sum(each.is_in for each in large) == 2
    for each in (*large, *small):
        each.leave()


def test_small_pictures_are_bounded_too_and_cannot_starve_large_ones() -> None:
    gate = PictureGate(1000)
    small = [Visitor(gate, 25) for _ in range(9)]
    eventually(lambda: sum(each.is_in for each in small) == 8, "eight small pictures are in")
    large = Visitor(gate, 800)
    large.wait_until_in()
    assert sum(each.is_in for each in small) == 8
    for each in (large, *small):
        each.leave()


def test_a_picture_that_needs_more_than_large_ones_have_borrows_from_small_ones() -> None:
    gate = PictureGate(1000)
    huge = Visitor(gate, 950)
    huge.wait_until_in()
    small = [Visitor(gate, 25) for _ in range(3)]
    eventually(lambda: sum(each.is_in for each in small) == 2, "two small pictures pass beside it")
    huge.leave()
    for each in small:
        each.wait_until_in()
        each.leave()


def test_huge_pictures_do_not_starve_others() -> None:
    gate = PictureGate(1000)
    first, second = Visitor(gate, 1000), Visitor(gate, 1000)
    eventually(lambda: first.is_in or second.is_in, "one is in")
    small, large = Visitor(gate, 25), Visitor(gate, 100)
    assert not small.is_in
    (first if first.is_in else second).leave()
    small.wait_until_in()  # whichever is next: the other huge one waits for the small ones that came before it
    small.leave()
    first.leave()
    second.leave()
    large.wait_until_in()
    large.leave()

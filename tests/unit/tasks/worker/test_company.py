"""Together or alone: what a photo that may kill its process can take with it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.worker.company import Company
from tests.waiting import eventually


class Visitor:
    """A thread that enters, stays until it is told to leave, and then leaves."""

    def __init__(self, company: Company, *, alone: bool) -> None:
        self._company, self._alone = company, alone
        self._is_in, self._may_leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._company.join(alone=self._alone):
            self._is_in.set()
            self._may_leave.wait()

    @property
    def is_in(self) -> bool:
        return self._is_in.is_set()

    def wait_until_in(self) -> None:
        assert self._is_in.wait(30)

    def leave(self) -> None:
        self._may_leave.set()
        self._thread.join(30)


@pytest.fixture
def company() -> Iterator[Company]:
    return Company()


def visitors(company: Company, *alone: bool) -> list[Visitor]:
    """Let visitors come in that order: each is in, or known to wait, before the next one comes."""
    found: list[Visitor] = []
    for each in alone:
        found.append(Visitor(company, alone=each))
        eventually(lambda: company.waiting + sum(visitor.is_in for visitor in found) == len(found), "it has come")
    return found


def test_many_are_in_together(company: Company) -> None:
    found = visitors(company, False, False, False)
    assert [each.is_in for each in found] == [True, True, True]
    for each in found:
        each.leave()


def test_who_wants_to_be_alone_waits_until_the_others_have_left_and_keeps_everybody_out(company: Company) -> None:
    first, alone, later = visitors(company, False, True, False)
    assert (first.is_in, alone.is_in, later.is_in) == (True, False, False)
    first.leave()
    alone.wait_until_in()
    assert not later.is_in
    alone.leave()
    later.wait_until_in()
    later.leave()


def test_two_are_alone_one_after_the_other(company: Company) -> None:
    one, other = visitors(company, True, True)
    assert (one.is_in, other.is_in) == (True, False)
    one.leave()
    other.wait_until_in()
    other.leave()


def test_who_fails_inside_leaves_too(company: Company) -> None:
    @contextmanager
    def failing() -> Iterator[None]:
        with company.join(alone=True):
            yield
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), failing():
        pass
    with company.join(alone=True):
        pass

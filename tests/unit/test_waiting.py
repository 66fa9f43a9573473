"""What moves is waited for, however long it takes; what stands still is not."""

import itertools

import pytest

from tests.waiting import eventually


def test_something_that_moves_is_waited_for_beyond_the_patience() -> None:
    steps = itertools.count()
    assert eventually(lambda: next(steps) >= 6, "six steps", progress=lambda: next(steps), patience_seconds=0.25) > 0.25


def test_something_that_stands_still_fails_with_what_was_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"(?s)while waiting: a photo is indexed \(0 photos\).*the log"):
        eventually(
            lambda: False,
            "a photo is indexed",
            progress=lambda: "0 photos",
            details=lambda: "the log",
            patience_seconds=0.2,
        )


def test_somebody_who_works_is_waited_for() -> None:
    asked = itertools.count()
    with pytest.raises(AssertionError):
        eventually(lambda: False, "x", is_working=lambda: next(asked) < 2, patience_seconds=0.05)
    assert next(asked) == 3

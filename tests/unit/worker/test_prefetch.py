"""prefetched: threads work ahead, results come in order, and little waits."""

import threading
import time

import pytest

from worker.prefetch import prefetched


def test_results_come_in_the_order_of_the_items_whatever_they_take() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return -number

    assert list(prefetched(slow_first, range(20), threads=4)) == [-number for number in range(20)]
    assert list(prefetched(slow_first, [], threads=4)) == []


def test_as_many_items_are_worked_on_at_once_as_there_are_threads() -> None:
    together = threading.Barrier(3, timeout=10)

    assert list(prefetched(lambda number: together.wait() >= 0 and number, range(6), threads=3)) == list(range(6))


def test_no_more_results_wait_than_there_are_threads() -> None:
    begun: list[int] = []
    results = prefetched(lambda number: begun.append(number), range(100), threads=2)

    next(results)
    time.sleep(0.05)

    assert max(begun) <= 3
    results.close()


def test_an_error_comes_in_its_turn_and_the_rest_is_not_begun() -> None:
    begun: list[int] = []

    def fails_at_two(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise ValueError("two")
        return number

    results = prefetched(fails_at_two, range(1000), threads=2)

    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)
    assert len(begun) < 10

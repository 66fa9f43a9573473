"""The shared clock: another host's time, estimated, whatever this host's own clock says."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from tasks.clock import shared
from tasks.clock.shared import READINGS, REFRESH_SECONDS, SharedClock, off_by
from tests.waiting import eventually

TRUE_START = 1_000_000.0


class Host:
    """A host with a clock of its own, and a Redis whose time is right."""

    def __init__(self, wall_offset_seconds: float = 0.0) -> None:
        self.passed = 0.0
        self.wall_offset_seconds = wall_offset_seconds
        self.is_down = False
        #: What each of the next readings takes, there and back.
        self.trips: list[tuple[float, float]] = []
        self.connections = 0

    @contextmanager
    def connect(self) -> Iterator[Callable[[], float]]:
        self.connections += 1
        if self.is_down:
            raise redis.ConnectionError("refused")
        yield self.read

    def read(self) -> float:
        there, back = self.trips.pop(0) if self.trips else (0.0, 0.0)
        self.passed += there
        told = self.true
        self.passed += back
        return told

    @property
    def true(self) -> float:
        return TRUE_START + self.passed

    def clock(self) -> SharedClock:
        return SharedClock(
            self.connect,
            monotonic=lambda: 50.0 + self.passed,
            wall=lambda: self.true + self.wall_offset_seconds,
        )


@pytest.mark.parametrize("offset", [0.0, 120.0, -120.0, 1e9])
def test_the_time_is_redis_whatever_the_hosts_clock_says(offset: float) -> None:
    host = Host(offset)
    clock = host.clock()
    assert clock.now() == pytest.approx(host.true)
    host.passed += 7
    assert clock.now() == pytest.approx(host.true)
    assert clock.wall_offset_seconds == pytest.approx(offset)


def test_whoever_asks_while_another_thread_measures_for_the_first_time_waits_for_that() -> None:
    host, may_answer, told = Host(120.0), threading.Event(), []

    @contextmanager
    def connect() -> Iterator[Callable[[], float]]:
        assert may_answer.wait(30)
        with host.connect() as read:
            yield read

    clock = SharedClock(connect, monotonic=lambda: 50.0, wall=lambda: host.true + host.wall_offset_seconds)
    threads = [threading.Thread(target=lambda: told.append(clock.now())) for _ in range(4)]
    for thread in threads:
        thread.start()
    may_answer.set()
    for thread in threads:
        thread.join(30)
    assert told == [pytest.approx(host.true)] * 4
    assert host.connections == 1


def test_setting_the_hosts_clock_changes_nothing_but_what_is_said_of_it() -> None:
    host = Host()
    clock = host.clock()
    before = clock.now()
    host.wall_offset_seconds = -3600
    assert clock.now() == before
    assert clock.wall_offset_seconds == pytest.approx(-3600)


def test_the_reading_with_the_shortest_round_trip_counts() -> None:
    host = Host()
    host.trips = [(0.0, 0.8), (0.01, 0.01), (0.9, 0.0)]
    assert len(host.trips) == READINGS
    clock = host.clock()
    assert clock.now() == pytest.approx(host.true, abs=1e-6)
    assert host.connections == 1


def test_until_redis_answers_the_hosts_clock_stands_in() -> None:
    host = Host(120)
    host.is_down = True
    clock = host.clock()
    assert clock.now() == host.true + 120
    assert clock.wall_offset_seconds == 0.0
    host.is_down = False
    clock.measure()
    assert clock.now() == pytest.approx(host.true)


def test_a_lost_redis_leaves_the_last_offset() -> None:
    host = Host(120)
    clock = host.clock()
    clock.now()
    host.is_down = True
    clock.measure()
    host.passed += 5
    assert clock.now() == pytest.approx(host.true)


def test_only_the_first_use_waits_for_redis() -> None:
    host = Host()
    clock = host.clock()
    clock.now()
    answers, asked_in = threading.Event(), []

    @contextmanager
    def slow() -> Iterator[Callable[[], float]]:
        asked_in.append(threading.current_thread())
        answers.wait()
        yield host.read

    clock._connect = slow
    host.passed += REFRESH_SECONDS + 1
    for _ in range(3):  # each returns although Redis does not answer
        assert clock.now() == pytest.approx(host.true)
    eventually(lambda: asked_in, "Redis is asked")
    answers.set()
    asked_in[0].join()
    assert len(asked_in) == 1
    assert asked_in[0] is not threading.current_thread()


def test_without_redis_only_the_first_use_waits_too() -> None:
    host = Host()
    host.is_down = True
    clock = host.clock()
    clock.now()
    clock.now()
    assert host.connections == 1


def test_a_wrong_clock_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(121.4)
    clock = host.clock()
    with caplog.at_level(logging.WARNING, shared.__name__):
        clock.measure()
        clock.measure()
    assert [record.message for record in caplog.records] == ["This host's clock is 121 s ahead of Redis'."]


@pytest.mark.parametrize(
    ("offset", "said"),
    [(121.4, "121 s ahead of"), (-2.31, "2.3 s behind"), (0.0, "0.0 s ahead of"), (-86400, "86400 s behind")],
)
def test_people_are_told_how_far_a_clock_is_off(offset: float, said: str) -> None:
    assert off_by(offset) == said

"""Bulk work pauses while more urgent work waits, but gets on."""

import pytest

from tasks.worker.niceness import MOST_SECONDS_PER_CHUNK, MOST_SECONDS_PER_PHOTO, Pauses


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def test_nobody_pauses_for_nothing(time: Time) -> None:
    pauses = Pauses(lambda: False, clock=time.now, sleep=time.sleep)
    for _ in range(8):
        pauses.pause()
    assert time.seconds == 0


def test_a_pause_ends_when_nothing_urgent_waits_any_more(time: Time) -> None:
    pauses = Pauses(lambda: time.seconds < 0.3, clock=time.now, sleep=time.sleep)
    pauses.pause()
    assert time.seconds == pytest.approx(0.3, abs=0.06)
    pauses.pause()
    assert time.seconds == pytest.approx(0.3, abs=0.06)


def test_however_much_is_urgent_a_photo_and_a_chunk_pause_only_so_long(time: Time) -> None:
    pauses = Pauses(lambda: True, clock=time.now, sleep=time.sleep)
    pauses.pause()
    assert time.seconds == pytest.approx(MOST_SECONDS_PER_PHOTO, abs=0.06)
    for _ in range(100):
        pauses.pause()
    assert time.seconds == pytest.approx(MOST_SECONDS_PER_CHUNK, abs=0.06)

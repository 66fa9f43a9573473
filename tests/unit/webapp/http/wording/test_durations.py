"""Durations as people say them."""

import pytest

from webapp.http.wording.durations import duration, pace, time_left

DAY = 86_400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (-0.2, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (8400, "2 h 20 min"),
        (DAY - 1, "1 day"),
        (DAY + 3600, "1 day 1 h"),
        (3 * DAY + 4 * 3600, "3 days 4 h"),
        (8 * DAY - 1, "8 days"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0, "less than a minute left"),
        (59.9, "less than a minute left"),
        (89, "about 1 min left"),
        (3590, "about 1 h left"),
        (8456, "about 2 h 20 min left"),
        (DAY - 30, "about 1 day left"),
        (3 * DAY + 4 * 3600 + 700, "about 3 days 4 h left"),
    ],
)
def test_an_estimate_is_no_more_exact_than_it_can_be(seconds: float | None, words: str) -> None:
    assert time_left(seconds) == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (4.21, "4.2 photos per second"),
        (0.1, "0.1 photos per second"),
        (0.05, "3 photos per minute"),
        (0.01, "36 photos per hour"),
    ],
)
def test_a_slow_pace_has_a_longer_unit(rate: float, words: str) -> None:
    assert pace(rate) == words

"""Intervals that treat the photos of one person as what they are: not independent."""

import numpy as np
import pytest

from benchmarks.accuracy.intervals import difference_of, share_of


def test_a_share_lies_in_its_interval() -> None:
    hits = np.arange(200) % 4 > 0
    share = share_of(hits, np.arange(200))

    assert share is not None
    assert share.value == 0.75
    # The normal approximation: 1.96 standard errors of 0.0306.
    assert (share.low, share.high) == pytest.approx((0.69, 0.81), abs=0.01)


def test_ten_photos_of_a_person_tell_less_than_one_photo_of_ten_people() -> None:
    alone = np.arange(200) % 4 > 0
    independent = share_of(alone, np.arange(200))
    clustered = share_of(np.repeat(np.arange(20) % 4 > 0, 10), np.repeat(np.arange(20), 10))

    assert independent is not None
    assert clustered is not None
    assert independent.value == clustered.value
    assert clustered.high - clustered.low > 2.5 * (independent.high - independent.low)


@pytest.mark.parametrize(("hit", "ends"), [(True, (0.025**0.05, 1.0)), (False, (0.0, 1 - 0.025**0.05))])
def test_twenty_people_all_alike_leave_room_for_another(hit: bool, ends: tuple[float, float]) -> None:
    share = share_of(np.full(60, hit), np.repeat(np.arange(20), 3))

    assert share is not None
    assert share.value == float(hit)
    assert (share.low, share.high) == pytest.approx(ends)


def test_a_difference_in_the_same_trials_is_surer_than_two_shares() -> None:
    rng = np.random.default_rng(1)
    others = rng.random(300) < 0.6
    hits = others.copy()
    hits[np.flatnonzero(~others)[:9]] = True

    gain, share = difference_of(hits, others, np.arange(300)), share_of(hits, np.arange(300))

    assert gain is not None
    assert share is not None
    assert gain.value == pytest.approx(0.03)
    assert 0 < gain.low < gain.value < gain.high
    assert gain.high - gain.low < (share.high - share.low) / 2


def test_no_difference_among_twenty_people_leaves_room_for_one() -> None:
    hits = np.arange(20) % 2 > 0

    gain = difference_of(hits, hits, np.arange(20))

    assert gain is not None
    assert (gain.low, gain.value, gain.high) == pytest.approx((0.025**0.05 - 1, 0.0, 1 - 0.025**0.05))


def test_no_trials_have_no_share() -> None:
    assert share_of(np.empty(0, dtype=bool), np.empty(0, dtype=np.int64)) is None

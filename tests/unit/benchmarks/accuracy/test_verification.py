"""Pairs, rates and the ten folds, on embeddings whose answers one can work out by hand."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from benchmarks.accuracy import identification, verification
from benchmarks.accuracy.verification import FOLDS, all_pairs, best_threshold, dealt_out, ten_fold
from tests.unit.benchmarks.accuracy.embeddings import around_people, at_degrees, cosine


def test_all_pairs_are_split_by_whether_they_show_one_person() -> None:
    pairs = all_pairs(at_degrees([0, 10, 40, 45]), np.array([0, 0, 1, 1]), largest_rate=1.0)

    assert pairs.same.tolist() == pytest.approx([cosine(10), cosine(5)], abs=1e-6)
    assert pairs.of_person.tolist() == [0, 1]
    assert pairs.different_pairs == 4
    assert pairs.largest_different.tolist() == pytest.approx([cosine(d) for d in (30, 35, 40, 45)], abs=1e-6)
    assert pairs.different is not None
    assert pairs.different.mean == pytest.approx(np.mean([cosine(d) for d in (30, 35, 40, 45)]), abs=1e-6)
    assert pairs.different.deviation == pytest.approx(np.std([cosine(d) for d in (30, 35, 40, 45)]), abs=1e-6)
    assert pairs.spread_of_same is not None
    assert pairs.spread_of_same.mean == pytest.approx((cosine(10) + cosine(5)) / 2, abs=1e-6)


def test_the_share_of_true_positives_at_a_rate_of_false_ones() -> None:
    # 21 people at 0, 1, 2 ... 20 degrees, and one more photo of the first at 3.5 degrees: of 230 pairs of two people,
    # 2 % are 4. The closest are half a degree apart (two), then one degree (twenty).
    embeddings = at_degrees([*range(21), 3.5])
    people = np.array([*range(21), 0])
    pairs = all_pairs(embeddings, people, largest_rate=0.1)
    assert pairs.different_pairs == 22 * 21 // 2 - 1

    threshold = pairs.threshold(0.02)

    assert threshold is not None
    assert cosine(1) < threshold < cosine(0.5)
    assert pairs.true_positives(threshold).value == 0.0  # type: ignore[union-attr]
    assert pairs.true_positives(cosine(3.6)).value == 1.0  # type: ignore[union-attr]
    assert pairs.threshold(1e-3) is None


def test_the_largest_cosines_are_the_same_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, people = around_people(40, 3, noise=1.0), np.arange(40).repeat(3)
    expected = sorted(
        (float(embeddings[i] @ embeddings[j]) for i, j in combinations(range(120), 2) if people[i] != people[j]),
        reverse=True,
    )

    monkeypatch.setattr(identification, "_ROWS_AT_ONCE", 11)
    pairs = all_pairs(embeddings, people, largest_rate=0.01)

    assert len(expected) == pairs.different_pairs
    assert len(pairs.largest_different) == int(0.01 * len(expected)) + 1
    assert pairs.largest_different == pytest.approx(np.array(expected[: len(pairs.largest_different)]), abs=1e-6)
    assert len(pairs.same) == 120


def test_no_photos_make_no_pairs() -> None:
    pairs = all_pairs(np.empty((0, 8), dtype=np.float32), np.empty(0, dtype=np.int64), largest_rate=0.01)

    assert pairs.different is None
    assert pairs.spread_of_same is None
    assert pairs.threshold(0.01) is None
    assert pairs.true_positives(0.5) is None


def test_no_person_is_in_two_folds() -> None:
    people = np.random.default_rng(3).integers(60, size=400)

    folds = dealt_out(people, np.random.default_rng(1))

    assert len(folds) == FOLDS
    assert sorted(np.concatenate(folds).tolist()) == list(range(400))
    for one, other in combinations(folds, 2):
        assert not set(people[one].tolist()) & set(people[other].tolist())


def test_people_with_several_photos_are_spread_evenly_over_the_folds() -> None:
    people = np.array([*np.arange(20).repeat(3), *range(20, 70)])

    folds = dealt_out(people, np.random.default_rng(1))

    for photos in folds:
        assert sorted(Counter(people[photos].tolist()).values()) == [1] * 5 + [3] * 2


def test_half_of_the_pairs_of_each_fold_are_of_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "PAIRS_IN_FOLD", 5)
    people = np.arange(40).repeat(4)

    cosines, is_same = verification._fold(
        around_people(40, 4, noise=0), people, np.arange(16), np.random.default_rng(1)
    )

    assert is_same.tolist() == [True] * 5 + [False] * 5
    assert cosines[is_same] == pytest.approx(1.0, abs=1e-6)
    assert (cosines[~is_same] < 0.9).all()


@pytest.mark.parametrize(
    ("noise", "least", "most"), [(0.0, 1.0, 1.0), (1.0, 0.9, 1.0), (50.0, 0.4, 0.6)], ids=["same", "alike", "noise"]
)
def test_ten_folds_tell_people_apart_as_far_as_their_embeddings_do(noise: float, least: float, most: float) -> None:
    found = ten_fold(around_people(60, 4, noise=noise), np.arange(60).repeat(4))

    assert found is not None
    assert found.pairs == 2 * 60 * 6
    assert least <= found.accuracy <= most
    assert (found.standard_error == 0) == (noise == 0)


def test_nine_people_make_no_ten_folds() -> None:
    assert ten_fold(around_people(9, 4, noise=0), np.arange(9).repeat(4)) is None


@pytest.mark.parametrize(
    ("cosines", "is_same", "threshold"),
    [
        pytest.param([0.9, 0.8, 0.4, 0.2], [1, 1, 0, 0], 0.6, id="in the gap"),
        pytest.param([0.2, 0.9, 0.4, 0.8], [0, 1, 0, 1], 0.6, id="in any order"),
        pytest.param([0.9, 0.8, 0.6, 0.4, 0.2], [1, 0, 1, 1, 0], 0.3, id="one error is fewer than two"),
        pytest.param([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0], 0.7, id="not between equal ones"),
        pytest.param([0.5, 0.25], [0, 0], 1.0, id="nothing is accepted"),
        pytest.param([0.5, 0.25], [1, 1], -0.25, id="everything is accepted"),
    ],
)
def test_the_best_threshold_is_right_most_often(cosines: list[float], is_same: list[int], threshold: float) -> None:
    found = best_threshold(np.array(cosines, dtype=np.float32), np.array(is_same, dtype=bool))

    assert found == pytest.approx(threshold)

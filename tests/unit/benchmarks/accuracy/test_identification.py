"""Ranks and searches in galleries, on embeddings whose answers one can work out by hand."""

import numpy as np
import pytest

from benchmarks.accuracy import identification
from benchmarks.accuracy.identification import gallery_searches, gallery_sizes, lowest_threshold, ranks
from tests.unit.benchmarks.accuracy.embeddings import around_people, at_degrees, cosine


def test_the_rank_counts_the_strangers_that_are_closer_than_the_closest_photo_of_the_person() -> None:
    people = np.array([0, 0, 0, 1, 2])
    # The third photo is 30 degrees from the second, but 18 from a stranger's.
    embeddings = at_degrees([0, 10, 40, 22, 90])

    assert ranks(embeddings, people).tolist() == [1, 1, 2, 0, 0]


def test_a_stranger_who_is_exactly_as_close_comes_first() -> None:
    same = at_degrees([0, 0, 0])

    assert ranks(same, np.array([0, 0, 1])).tolist() == [2, 2, 0]


def test_a_photo_does_not_find_itself() -> None:
    assert ranks(at_degrees([0, 90, 5]), np.array([0, 0, 1])).tolist() == [2, 2, 0]


def test_ranks_do_not_depend_on_how_many_rows_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, people = around_people(30, 3, noise=2.0), np.arange(30).repeat(3)
    whole = ranks(embeddings, people)
    assert whole.max() > 1

    monkeypatch.setattr(identification, "_ROWS_AT_ONCE", 7)

    assert ranks(embeddings, people).tolist() == whole.tolist()


def test_a_gallery_shows_an_absent_person_its_closest_stranger() -> None:
    people = np.array([0, 0, 1, 2])
    found = gallery_searches(at_degrees([0, 10, 30, 90]), people, 4)

    # The closest strangers: 30, 20, 20 and 60 degrees; the closest photos of the person: 10 degrees, or none.
    assert found.strangers == pytest.approx(np.array([[cosine(d)] for d in (30, 20, 20, 60)]), abs=1e-6)
    assert found.mates[:2] == pytest.approx(cosine(10), abs=1e-6)
    assert found.mates[2:].tolist() == [-np.inf, -np.inf]
    assert found.false_matches(cosine(25)) == 0.5
    assert found.false_matches(cosine(65)) == 1.0
    assert found.hits(cosine(15)) == 1.0
    assert found.hits(cosine(5)) == 0.0


def test_a_person_whose_closest_match_is_a_stranger_is_no_hit() -> None:
    found = gallery_searches(at_degrees([0, 10, 5]), np.array([0, 0, 1]), 3)

    assert found.hits(-1.0) == 0.0


def test_nobody_is_present_without_other_photos() -> None:
    assert gallery_searches(at_degrees([0, 10]), np.array([0, 1]), 2).hits(-1.0) is None


def test_each_photo_is_in_one_gallery_at_most() -> None:
    embeddings, people = at_degrees([0] * 10 + [90]), np.arange(11)

    # Galleries of a single photo: nine that look the same, one that does not, and one that does not count: its own.
    alone = sorted(gallery_searches(embeddings, people, 1).strangers[0].tolist())
    assert alone == pytest.approx([-np.inf, 0.0, *[1.0] * 9], abs=1e-6)

    pairs = gallery_searches(embeddings, people, 5)
    assert pairs.strangers.shape == (11, 2)
    assert pairs.searches == 22


def test_a_larger_gallery_shows_absent_people_more_strangers() -> None:
    embeddings, people = around_people(300, 1, noise=0), np.arange(300)
    small, large = (gallery_searches(embeddings, people, size).false_matches(0.25) for size in (10, 300))

    assert 0 < small < large


def test_a_gallery_without_photos_is_refused() -> None:
    with pytest.raises(ValueError, match="2 photos make no gallery of 3"):
        gallery_searches(at_degrees([0, 1]), np.array([0, 1]), 3)


def test_the_largest_gallery_is_all_photos() -> None:
    assert gallery_sizes(1915, (100, 1000, 10_000)) == [100, 1000, 1915]
    assert gallery_sizes(1000, (100, 1000)) == [100, 1000]
    assert gallery_sizes(0, (100,)) == []


def test_the_lowest_threshold_lets_through_just_what_the_rate_allows() -> None:
    largest = np.array([0.9, 0.8, 0.7, 0.6, 0.5], dtype=np.float32)

    threshold = lowest_threshold(largest, 1000, 3e-3)

    assert threshold is not None
    assert threshold == pytest.approx(0.6)
    assert (largest >= np.float32(threshold)).sum() == 3


def test_equal_cosines_are_let_through_together_or_not_at_all() -> None:
    largest = np.array([0.9, 0.8, 0.7, 0.7, 0.7], dtype=np.float32)

    threshold = lowest_threshold(largest, 1000, 3e-3)

    assert threshold is not None
    assert (largest >= np.float32(threshold)).sum() == 2


def test_there_is_no_threshold_for_a_rate_that_allows_fewer_than_three_errors() -> None:
    largest = np.linspace(0.9, 0.1, 100, dtype=np.float32)

    assert lowest_threshold(largest, 1000, 2e-3) is None
    assert lowest_threshold(largest, 1000, 3e-3) is not None


def test_too_few_cosines_do_not_tell() -> None:
    with pytest.raises(ValueError, match="largest 5 of 1000 cosines"):
        lowest_threshold(np.linspace(0.9, 0.5, 5, dtype=np.float32), 1000, 1e-2)
